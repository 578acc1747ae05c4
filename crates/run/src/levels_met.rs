//! How far the noise levels that samples show on their way leave the schedule, and what that says of the trust it deserves.

use std::sync::Mutex;

use candle_core::{Device, Result, Tensor};
use pfgmpp_data::Dataset;
use pfgmpp_kernel::{
    ConditionSpec, Denoiser, Dimension, Kernel, Query, SampleRng, Stream, squared_norms,
};
use pfgmpp_metrics::bootstrap_interval;
use pfgmpp_transfer::DenoisingError;
use serde::Serialize;

use crate::error::RunError;
use crate::error_curve::error_curve;
use crate::groups::Groups;
use crate::observer::StopFlag;
use crate::sampling_model::SamplingModel;
use crate::stoppable::Stoppable;

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
    ) -> std::result::Result<LevelsMet, RunError> {
        let model = self.led()?;
        let error = error_curve(&*model, data, &self.config, batch as u64, device, stop)?;
        let groups = Groups {
            len: seeds.len(),
            batch_size: batch,
            device,
        };
        let mut sampled = Deviations::default();
        let all = groups.run_in_order::<_, RunError>(
            stop,
            |group| {
                let recorder = Recorder::new(&*model, &error, self.kernel().n());
                let denoiser = Stoppable::new(&recorder, stop);
                let seeds = &seeds[group];
                let condition = self.condition(self.classes(seeds).as_deref(), device)?;
                let sampler = self.sampler();
                let drawn = sampler.sample(
                    &denoiser,
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
    ) -> std::result::Result<Deviations, RunError> {
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
                let recorder = Recorder::new(&*model, error, self.kernel().n());
                let denoiser = Stoppable::new(&recorder, stop);
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
                    stop.blame(denoiser.denoise(&Query::new(&x, &sigma).under(&condition)))?;
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

/// ln(shown/nominal) of items by evaluation.
#[derive(Clone, Debug, Default)]
struct Deviations {
    /// The level of each evaluation.
    sigma: Vec<f64>,
    /// For each evaluation that of each item.
    values: Vec<Vec<f64>>,
}

impl Deviations {
    fn append(&mut self, other: Self) {
        if self.sigma.is_empty() {
            *self = other;
            return;
        }
        for (all, more) in self.values.iter_mut().zip(other.values) {
            all.extend(more);
        }
    }
}

/// A denoiser that keeps what levels are shown where it is asked.
struct Recorder<'a> {
    model: &'a dyn Denoiser,
    error: &'a DenoisingError,
    n: f64,
    met: Mutex<Deviations>,
}

impl<'a> Recorder<'a> {
    fn new(model: &'a dyn Denoiser, error: &'a DenoisingError, n: usize) -> Self {
        let met = Mutex::default();
        Self {
            model,
            error,
            n: n as f64,
            met,
        }
    }

    fn taken(self) -> Deviations {
        self.met.into_inner().unwrap_or_default()
    }

    /// `ln(shown/sigma)` of a sample at squared distance `square` from its estimate.
    fn deviation(&self, square: f64, sigma: f64) -> f64 {
        let mut shown = sigma;
        // A fixed point: e grows slower than the noise, so that each round comes nearer.
        for _ in 0..60 {
            let next = ((square + self.error.at(shown)) / self.n).sqrt();
            let done = (next / shown - 1.0).abs() < 1e-9;
            shown = next;
            if done {
                break;
            }
        }
        (shown / sigma).ln()
    }
}

impl Denoiser for Recorder<'_> {
    fn takes(&self) -> ConditionSpec {
        self.model.takes()
    }

    fn denoise(&self, query: &Query) -> Result<Tensor> {
        let m = self.model.denoise(query)?;
        let squares = squared_norms(&(query.x - &m)?)?;
        let values = squares.iter().zip(query.sigma);
        let values = values
            .map(|(&square, &sigma)| self.deviation(square, sigma))
            .collect();
        if let Ok(mut met) = self.met.lock() {
            met.sigma.push(query.sigma[0]);
            met.values.push(values);
        }
        Ok(m)
    }
}

/// Mean and variance over some of the items.
fn moments(values: &[f64], items: &[usize]) -> [f64; 2] {
    let num = items.len() as f64;
    let mean = items.iter().map(|&i| values[i]).sum::<f64>() / num;
    let squares: f64 = items.iter().map(|&i| (values[i] - mean).powi(2)).sum();
    [mean, squares / (num - 1.0).max(1.0)]
}

fn summary(
    sampled: &Deviations,
    known: &Deviations,
    error: &DenoisingError,
    n: usize,
) -> LevelsMet {
    let num = sampled.values.first().map_or(0, Vec::len);
    let num_known = known.values.first().map_or(0, Vec::len);
    let readable: Vec<bool> = sampled
        .sigma
        .iter()
        .map(|&sigma| error.at(sigma) <= READABLE * n as f64 * sigma * sigma)
        .collect();
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

#[cfg(test)]
mod tests {
    use pfgmpp_config::yaml::parse_value;
    use pfgmpp_data::DataSource;
    use pfgmpp_kernel::ExactPosterior;
    use pfgmpp_sampler::SamplerConfig;

    use super::*;

    /// What samples of the exact posterior of the digits at `d` meet.
    fn met(d: f64, sampler: &str, num: u64) -> LevelsMet {
        let splits = DataSource::Digits.load().unwrap();
        let d = Dimension::new(d).unwrap();
        let exact = ExactPosterior::new(splits.train.images(), d).unwrap();
        let edm = "{num_steps: STEPS, sigma_min: 0.05, sigma_max: 40.0, rho: 7.0}";
        let text = format!(
            "{{{}, schedule: {{edm: {edm}}}}}",
            sampler.split('|').next().unwrap()
        );
        let text = text.replace("STEPS", sampler.split('|').nth(1).unwrap());
        let config: SamplerConfig = parse_value(&text, "a test").unwrap();
        let shape = splits.train.image_shape();
        let model = SamplingModel::new(
            Box::new(exact),
            d,
            shape,
            || unreachable!("no other D"),
            &config,
        )
        .unwrap();
        let seeds: Vec<u64> = (0..num).collect();
        // The posterior knows its own data.
        let data = &splits.train;
        model
            .levels_met(
                &seeds,
                data,
                (64, &Device::Cpu),
                &StopFlag::default(),
                &|_| (),
            )
            .unwrap()
    }

    #[test]
    fn an_exact_model_with_many_steps_deserves_its_schedule() {
        let found = met(f64::INFINITY, "solver: heun|40", 200);
        assert!(found.levels.iter().filter(|level| level.readable).count() > 20);
        let [low, high] = found.kappa_interval();
        assert!(
            low > 100.0 && high == f64::INFINITY,
            "got kappa {low} to {high}: {found:?}"
        );
    }

    #[test]
    fn noise_on_the_way_and_few_steps_cost_the_schedule_trust() {
        let noisy = met(f64::INFINITY, "solver: euler, injected_noise: 0.4|18", 200);
        let [low, high] = noisy.kappa_interval();
        assert!(
            low <= noisy.kappa() && noisy.kappa() <= high,
            "got {} in {low} to {high}",
            noisy.kappa()
        );
        assert!(high < 50.0, "noise: got kappa {low} to {high}");
        let few = met(f64::INFINITY, "solver: euler|5", 200);
        assert!(
            few.kappa_interval()[1] < 50.0,
            "few steps: got {:?}",
            few.kappa_interval()
        );
    }

    #[test]
    fn the_levels_of_a_prior_of_finite_d_deserve_about_that_d() {
        // Of ln s given sigma the variance is psi'(D/2)/4: at D = 8 0.0710, of which 1/(2 V) is 7.0.
        let found = met(8.0, "solver: heun|40", 400);
        let [low, high] = found.kappa_interval();
        assert!(
            low < 9.0 && high > 6.0 && high < 16.0,
            "got kappa {} in {low} to {high}, want 7",
            found.kappa()
        );
    }

    #[test]
    fn the_batch_changes_nothing() {
        let splits = DataSource::EightGaussians.load().unwrap();
        let d = Dimension::Infinite;
        let exact = ExactPosterior::new(splits.train.images(), d).unwrap();
        let text = "{solver: euler, schedule: {edm: {num_steps: 6, sigma_min: 0.2, sigma_max: 10.0, rho: 7.0}}}";
        let config: SamplerConfig = parse_value(text, "a test").unwrap();
        let model = SamplingModel::new(
            Box::new(exact),
            d,
            [2, 1, 1],
            || unreachable!("no other D"),
            &config,
        )
        .unwrap();
        let met = |batch| {
            let seeds: Vec<u64> = (0..30).collect();
            model
                .levels_met(
                    &seeds,
                    &splits.held_out,
                    (batch, &Device::Cpu),
                    &StopFlag::default(),
                    &|_| (),
                )
                .unwrap()
        };
        let (few, many) = (met(7), met(100));
        assert_eq!(few.levels.len(), 6);
        let error = (few.mean_square / many.mean_square - 1.0).abs();
        assert!(
            error < 1e-6,
            "got {} and {}",
            few.mean_square,
            many.mean_square
        );
    }
}
