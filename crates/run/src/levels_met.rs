//! How far the noise levels that samples show on their way leave the schedule, and what that says of the trust it deserves.

use candle_core::Device;
use pfgmpp_config::ConfigError;
use pfgmpp_data::Dataset;
use pfgmpp_kernel::{Denoiser, Dimension, Kernel, Query, SampleRng, Stream};
use pfgmpp_metrics::bootstrap_interval;
use pfgmpp_transfer::DenoisingError;
use serde::Serialize;

use crate::error::RunError;
use crate::error_curve::error_curve;
use crate::groups::Groups;
use crate::observer::StopFlag;
use crate::sampling_model::SamplingModel;
use crate::stoppable::Stoppable;

mod recorder;
#[cfg(test)]
mod tests;

use recorder::{Deviations, Recorder};

/// What the noise of the data is for: the same of an item and a level whatever the batch.
const NAME: &str = "levels_met";
/// A level is read where the denoiser's error is at most this part of the noise: beyond, x and estimate tell little.
const READABLE: f64 = 0.75;
/// Resamples of the interval.
const RESAMPLES: usize = 1000;

/// The levels that samples show at one level of the schedule.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LevelMet {
    /// The level of the schedule.
    pub sigma: f64,
    /// The mean of ln(shown/sigma) of samples, less that of data perturbed at exactly sigma.
    pub bias: f64,
    /// The variance of ln(shown/sigma) of samples, less that of data: what reading a level costs.
    pub variance: f64,
    /// Whether the level counts: the denoiser's squared error is at most three quarters of the noise's.
    pub readable: bool,
}

impl LevelMet {
    /// The kappa of this level alone, as [`LevelsMet::kappa`].
    #[must_use]
    pub fn kappa(&self) -> f64 {
        kappa(self.bias * self.bias + self.variance)
    }
}

/// What the levels that samples met say of the schedule.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LevelsMet {
    /// Samples that were drawn.
    pub num: usize,
    /// N, the values of a sample.
    pub n: usize,
    /// Each evaluation of the way, falling levels.
    pub levels: Vec<LevelMet>,
    /// Mean of `bias² + variance` over the levels that count; what is below 0 is chance.
    pub mean_square: f64,
    /// Its 95 % bootstrap interval over samples and data.
    pub interval: [f64; 2],
}

impl LevelsMet {
    /// Observations that the schedule deserves to count as: `1 / (2 V)`, V the mean square of ln(shown/nominal).
    ///
    /// ```text
    /// prior of ln s of variance 1/(2 kappa), reading of variance 1/(2 N):  weights kappa/(N + kappa) and N/(N + kappa)
    /// ```
    ///
    /// Infinite where the levels cannot be told from the schedule.
    #[must_use]
    pub fn kappa(&self) -> f64 {
        kappa(self.mean_square)
    }

    /// The level that strays most of those that count.
    #[must_use]
    pub fn worst(&self) -> Option<&LevelMet> {
        let counted = self.levels.iter().filter(|level| level.readable);
        counted.min_by(|a, b| a.kappa().total_cmp(&b.kappa()))
    }

    /// The 95 % interval of [`Self::kappa`].
    #[must_use]
    pub fn kappa_interval(&self) -> [f64; 2] {
        [kappa(self.interval[1]), kappa(self.interval[0])]
    }
}

fn kappa(mean_square: f64) -> f64 {
    if mean_square > 0.0 {
        0.5 / mean_square
    } else {
        f64::INFINITY
    }
}

impl SamplingModel {
    /// Draws a sample for each of `seeds` and measures how far the levels that they show leave the schedule.
    ///
    /// ```text
    /// shown² = (|x - m|² + e(shown)) / N       m: the estimate at x, e: the squared error of estimates of `data`
    /// ```
    ///
    /// `data` perturbed by Gaussian noise at exactly the schedule's levels are read in the same way, item by item as samples
    /// are; their mean and variance are taken off, so that what is left was added by sampling: wrong estimates, long steps,
    /// noise on the way, and at finite D the scatter of the levels of a prior of that D.
    ///
    /// - `batch`: items at a time; it changes no figure.
    /// - `progress`: is told of items as they are done, `seeds.len()` samples and as many data or fewer.
    ///
    /// # Errors
    ///
    /// A solver that chooses its steps, failures of the model, and [`RunError::Stopped`].
    pub fn levels_met(
        &self,
        seeds: &[u64],
        data: &Dataset,
        (batch, device): (usize, &Device),
        stop: &StopFlag,
        progress: &dyn Fn(u64),
    ) -> Result<LevelsMet, RunError> {
        let model = self.led()?;
        let error = error_curve(
            &*model,
            None,
            data,
            &self.config,
            batch as u64,
            device,
            stop,
        )?;
        let groups = Groups {
            len: seeds.len(),
            batch_size: batch,
            device,
        };
        let mut sampled = Deviations::default();
        let all = groups.run_in_order::<_, RunError>(
            stop,
            |group| {
                // Outermost, so that an evaluation is one however it is done in parts.
                let stoppable = Stoppable::new(&*model, stop);
                let recorder = Recorder::new(&stoppable, &error, self.kernel().n());
                let seeds = &seeds[group];
                let condition = self.condition(self.classes(seeds).as_deref(), device)?;
                let sampler = self.sampler();
                let drawn = sampler.sample(
                    &recorder,
                    &condition,
                    self.kernel(),
                    &self.shape(),
                    seeds,
                    device,
                );
                stop.blame(drawn)?;
                Ok(recorder.taken())
            },
            |group, deviations| {
                sampled.append(deviations);
                progress(group.len() as u64);
                Ok(())
            },
        )?;
        if !all {
            return Err(RunError::Stopped);
        }
        let n = self.kernel().n();
        if !sampled
            .sigma
            .iter()
            .any(|&sigma| is_readable(sigma, &error, n))
        {
            let message = "no noise level can be read off its samples: its error is larger than the noise at each";
            return Err(ConfigError::new("the model", message).into());
        }
        let known = self.read_data(
            &sampled.sigma,
            seeds.len(),
            data,
            &error,
            (batch, device),
            (stop, progress),
        )?;
        Ok(summary(&sampled, &known, &error, self.kernel().n()))
    }

    /// Levels read off `data` that lie at exactly `levels`; up to `num` items.
    fn read_data(
        &self,
        levels: &[f64],
        num: usize,
        data: &Dataset,
        error: &DenoisingError,
        (batch, device): (usize, &Device),
        (stop, progress): (&StopFlag, &dyn Fn(u64)),
    ) -> Result<Deviations, RunError> {
        let num = num.min(data.num_images());
        let model = self.led()?;
        let kernel = Kernel::new(self.kernel().n(), Dimension::Infinite)?;
        let mut known = Deviations::default();
        let groups = Groups {
            len: num,
            batch_size: batch,
            device,
        };
        let all = groups.run_in_order::<_, RunError>(
            stop,
            |group| {
                let indices: Vec<usize> = group.map(|i| i * data.num_images() / num).collect();
                let stoppable = Stoppable::new(&*model, stop);
                let recorder = Recorder::new(&stoppable, error, self.kernel().n());
                let y = data.batch(&indices, device)?;
                let labels = data
                    .class_labels()
                    .ok()
                    .flatten()
                    .filter(|_| self.label_dim() > 0);
                let classes = labels.map(|labels| -> Vec<usize> {
                    indices
                        .iter()
                        .map(|&index| labels.values()[index] as usize)
                        .collect()
                });
                let condition = self.condition(classes.as_deref(), device)?;
                for (level, &sigma) in levels.iter().enumerate() {
                    let rng =
                        |&i: &usize| SampleRng::new(level as u64, Stream::score(NAME), i as u64);
                    let mut rngs: Vec<SampleRng> = indices.iter().map(rng).collect();
                    let sigma = vec![sigma; indices.len()];
                    let x = kernel.perturb(&y, &sigma, &mut rngs)?;
                    stop.blame(recorder.denoise(&Query::new(&x, &sigma).under(&condition)))?;
                }
                Ok(recorder.taken())
            },
            |group, deviations| {
                known.append(deviations);
                progress(group.len() as u64);
                Ok(())
            },
        )?;
        if all {
            Ok(known)
        } else {
            Err(RunError::Stopped)
        }
    }
}

/// Mean and variance over some of the items.
fn moments(values: &[f64], items: &[usize]) -> [f64; 2] {
    let num = items.len() as f64;
    let mean = items.iter().map(|&i| values[i]).sum::<f64>() / num;
    let squares: f64 = items.iter().map(|&i| (values[i] - mean).powi(2)).sum();
    [mean, squares / (num - 1.0).max(1.0)]
}

/// Whether what is left of a sample at level `sigma` is more noise than the model's own error.
fn is_readable(sigma: f64, error: &DenoisingError, n: usize) -> bool {
    error.at(sigma) <= READABLE * n as f64 * sigma * sigma
}

fn summary(
    sampled: &Deviations,
    known: &Deviations,
    error: &DenoisingError,
    n: usize,
) -> LevelsMet {
    let num = sampled.values.first().map_or(0, Vec::len);
    let num_known = known.values.first().map_or(0, Vec::len);
    let levels = sampled.sigma.iter();
    let readable: Vec<bool> = levels.map(|&sigma| is_readable(sigma, error, n)).collect();
    let level = |k: usize, items: &[usize], known_items: &[usize]| {
        let [mean, variance] = moments(&sampled.values[k], items);
        let [mean_known, variance_known] = moments(&known.values[k], known_items);
        LevelMet {
            sigma: sampled.sigma[k],
            bias: mean - mean_known,
            variance: variance - variance_known,
            readable: readable[k],
        }
    };
    let mean_square = |items: &[usize], known_items: &[usize]| {
        let counted = (0..readable.len()).filter(|&k| readable[k]);
        let squares = counted.map(|k| {
            let level = level(k, items, known_items);
            level.bias * level.bias + level.variance
        });
        let squares: Vec<f64> = squares.collect();
        squares.iter().sum::<f64>() / squares.len() as f64
    };
    let (all, all_known): (Vec<usize>, Vec<usize>) = ((0..num).collect(), (0..num_known).collect());
    // Samples and data are drawn anew together: an item of each stands under one number.
    let both = num.max(num_known);
    let resampled = bootstrap_interval(both, RESAMPLES, 0, |drawn| {
        let of = |num: usize| {
            drawn
                .iter()
                .copied()
                .filter(|i| *i < num)
                .collect::<Vec<_>>()
        };
        mean_square(&of(num), &of(num_known))
    });
    let whole = mean_square(&all, &all_known);
    LevelsMet {
        num,
        n,
        levels: (0..readable.len())
            .map(|k| level(k, &all, &all_known))
            .collect(),
        mean_square: whole,
        interval: resampled.unwrap_or([f64::NEG_INFINITY, f64::INFINITY]),
    }
}
