//! How likely a model finds data.

use std::f64::consts::LN_2;
use std::ops::Range;

use candle_core::{Device, Tensor};
use pfgmpp_config::ConfigError;
use pfgmpp_data::Dataset;
use pfgmpp_kernel::{SampleRng, Stream, widest_float};
use pfgmpp_sampler::{Likelihood, LogDensities, Rk45, Solver, Trace};
use serde::Serialize;

use crate::error::RunError;
use crate::groups::Groups;
use crate::held_out::{classes_of, pick};
use crate::observer::StopFlag;
use crate::sampling_model::SamplingModel;
use crate::stoppable::Stoppable;

/// The solver of likelihoods where none is asked for: samples forgive an error of the steps that likelihoods do not.
pub const LIKELIHOOD_SOLVER: Rk45 = Rk45 {
    rtol: 1e-4,
    atol: 1e-4,
};

/// Grey levels of an 8-bit image within a unit of the data, which go from -1 to 1.
const GREY_LEVELS: f64 = 127.5;

impl SamplingModel {
    /// The log-densities of data `x` `[B, C, H, W]` of `classes` `[B]` under the Student-t prior, until `stop` is
    /// raised.
    ///
    /// - `seeds`: one a datum, which draws its probes.
    ///
    /// They are those of the deterministic ODE between the ends of this sampler's levels, led to classes if there is
    /// guidance; added noise and bounds of the prior have no part in it.
    ///
    /// # Errors
    ///
    /// A self-timed sampler, a trace that does not fit the data, failures of the model, and [`RunError::Stopped`].
    pub fn ln_densities(
        &self,
        x: &Tensor,
        classes: Option<&[usize]>,
        seeds: &[u64],
        (solver, trace): (&dyn Solver, Trace),
        stop: &StopFlag,
    ) -> Result<LogDensities, RunError> {
        if self.is_self_timed() {
            return Err(RunError::from(ConfigError::new(
                "sampler",
                "self_timed: levels read off a sample have no likelihood: leave it out, or kappa: inf",
            )));
        }
        let led = self.led()?;
        let denoiser = Stoppable::new(&*led, stop);
        let condition = self.condition(classes, x.device())?;
        let likelihood = Likelihood {
            solver,
            levels: self.sampler().levels(),
            trace,
            terminal: self.kernel(),
        };
        stop.blame(likelihood.of(&denoiser, &condition, x, seeds))
    }

    /// What the log-density of a row loses where it is one of the table's own units, in nats: `Σ ln scale` over its columns,
    /// 0 of data that were not standardised.
    pub fn ln_units(&self) -> f64 {
        let columns = self.columns().unwrap_or_default();
        columns.iter().map(|column| column.scale.ln()).sum()
    }

    /// Checks that there is memory for the likelihoods of `batch` data at a time with `probes` probes; `key` is what
    /// sets the batch. Gives the bytes that it takes, 0 of a model of which that is not known.
    ///
    /// # Errors
    ///
    /// [`RunError::Memory`].
    pub fn check_likelihood_memory(
        &self,
        key: &str,
        batch: u64,
        probes: u64,
    ) -> Result<u64, RunError> {
        let n = self.kernel().n() as u64;
        self.footprint().map_or(Ok(0), |footprint| {
            footprint.check_likelihood(n, key, batch, probes)
        })
    }
}

/// The likelihoods of data under a model.
pub struct DataLikelihood<'a> {
    /// The model.
    pub model: &'a SamplingModel,
    /// The data, of the model's shape.
    pub data: &'a Dataset,
    /// The method that integrates.
    pub solver: &'a dyn Solver,
    /// How the trace is taken.
    pub trace: Trace,
    /// The seed of the first datum; that of datum i is `seed + i`. It draws the probes, and the noise of dequantization.
    pub seed: u64,
    /// Whether uniform noise of one of 256 grey levels, 2/255, is added to the data.
    pub dequantize: bool,
    /// Data worked on at a time by all threads together; it changes no likelihood.
    pub batch_size: usize,
    /// Where the model lies.
    pub device: &'a Device,
}

/// The likelihood of one datum.
#[derive(Clone, Debug, PartialEq)]
pub struct ItemLikelihood {
    /// `ln p` in nats: the mean over its probes.
    pub ln_p: f64,
    /// `ln p` by each probe.
    pub by_probe: Vec<f64>,
    /// The part of it that is the latent state's log-density under the prior.
    pub prior: f64,
    /// Its class, of a model that has classes.
    pub class: Option<usize>,
    /// Evaluations of the model, in the mean of its group.
    pub evaluations: f64,
}

impl DataLikelihood<'_> {
    /// The likelihoods of the data at `indices`, in their order; `None` when asked to stop. Those of a table whose columns were
    /// standardised are densities in its own units; their part of the prior is not. `progress` is told how many
    /// have been added.
    ///
    /// # Errors
    ///
    /// Data of another shape than the model's, a likelihood that is not finite, and failures of the model.
    pub fn of(
        &self,
        indices: &[usize],
        stop: &StopFlag,
        mut progress: impl FnMut(usize),
    ) -> Result<Option<Vec<ItemLikelihood>>, RunError> {
        let groups = Groups {
            len: indices.len(),
            batch_size: self.batch_size,
            device: self.device,
        };
        let classes = classes_of(self.model, self.data, self.seed);
        let make = |group: Range<usize>| self.group(&indices[group], classes.as_deref(), stop);
        let mut all = Vec::with_capacity(indices.len());
        let done = groups.run_in_order::<_, RunError>(stop, make, |group, items| {
            all.extend(items);
            progress(group.len());
            Ok(())
        })?;
        Ok(done.then_some(all))
    }

    fn group(
        &self,
        indices: &[usize],
        classes: Option<&[usize]>,
        stop: &StopFlag,
    ) -> Result<Vec<ItemLikelihood>, RunError> {
        let seeds = indices.iter().map(|&i| self.seed.wrapping_add(i as u64));
        let seeds: Vec<u64> = seeds.collect();
        let x = self.data.batch(indices, self.device)?;
        let mut x = x.to_dtype(widest_float(self.device))?;
        if self.dequantize {
            x = (&x + grey_noise(&seeds, &x)?)?;
        }
        let classes = classes.map(|classes| pick(classes, indices));
        let found = self.model.ln_densities(
            &x,
            classes.as_deref(),
            &seeds,
            (self.solver, self.trace),
            stop,
        )?;
        let ln_p = found.ln_p();
        if let Some(row) = ln_p.iter().position(|ln_p| !ln_p.is_finite()) {
            return Err(RunError::LikelihoodNotFinite(indices[row]));
        }
        let ln_det = self.model.ln_units();
        let rows = ln_p.into_iter().zip(found.by_probe).zip(found.prior);
        let item =
            |(row, ((ln_p, by_probe), prior)): (usize, ((f64, Vec<f64>), f64))| ItemLikelihood {
                ln_p: ln_p - ln_det,
                by_probe: by_probe.into_iter().map(|ln_p| ln_p - ln_det).collect(),
                prior,
                class: classes.as_ref().map(|classes| classes[row]),
                evaluations: found.evaluations,
            };
        Ok(rows.enumerate().map(item).collect())
    }
}

/// Noise that is uniform over one of 256 grey levels about 0, of the shape of `x`, a row by each of `seeds`.
fn grey_noise(seeds: &[u64], x: &Tensor) -> candle_core::Result<Tensor> {
    /// Steps of the uniform law, a power of two.
    const STEPS: u64 = 1 << 53;
    let n = x.elem_count() / seeds.len().max(1);
    let rows = seeds.iter().flat_map(|&seed| {
        let mut rng = SampleRng::new(seed, Stream::score("dequantization"), 0);
        (0..n).map(move |_| {
            let uniform = (rng.below(STEPS) as f64 + 0.5) / STEPS as f64;
            (uniform - 0.5) / GREY_LEVELS
        })
    });
    pfgmpp_kernel::beside(rows.collect(), x.shape(), x)
}

/// Likelihoods taken together: means over data with their standard errors.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LikelihoodSummary {
    /// The number of data.
    pub num: usize,
    /// Mean of `-ln p / N`, in nats per dimension.
    pub nats_per_dimension: f64,
    /// The same in bits, in units of the data.
    pub bits_per_dimension: f64,
    /// Bits per dimension where a value of the data is one of 256 grey levels from -1 to 1: `log2(127.5)` more.
    pub bits_per_dimension_8_bit: f64,
    /// Standard error over the data, in nats per dimension; none of a single datum.
    pub standard_error_data: Option<f64>,
    /// Standard error over the probes alone, in nats per dimension; none of a single probe a datum, 0 of the exact
    /// trace.
    pub standard_error_probes: Option<f64>,
    /// The mean share of the prior, `-ln p_prior / N`, in nats per dimension.
    pub prior_nats_per_dimension: f64,
    /// Evaluations of the model a datum, in the mean.
    pub evaluations: f64,
}

impl LikelihoodSummary {
    /// Of `items`, at least one, of `n` values each.
    #[must_use]
    pub fn of(items: &[ItemLikelihood], n: usize, trace: Trace) -> Self {
        let (num, n) = (items.len() as f64, n as f64);
        let over = |value: fn(&ItemLikelihood) -> f64| items.iter().map(value).sum::<f64>() / num;
        let values: Vec<f64> = items.iter().map(|item| item.ln_p).collect();
        let by_probe = items.iter().map(|item| variance_of_mean(&item.by_probe));
        let probes: Option<f64> = by_probe.sum();
        let nats = -over(|item| item.ln_p) / n;
        Self {
            num: items.len(),
            nats_per_dimension: nats,
            bits_per_dimension: bits(nats),
            bits_per_dimension_8_bit: bits(nats) + GREY_LEVELS.log2(),
            standard_error_data: variance_of_mean(&values).map(|v| v.sqrt() / n),
            standard_error_probes: match trace {
                Trace::Exact => Some(0.0),
                Trace::Hutchinson { .. } => probes.map(|sum| sum.sqrt() / num / n),
            },
            prior_nats_per_dimension: -over(|item| item.prior) / n,
            evaluations: over(|item| item.evaluations),
        }
    }
}

/// Nats as bits.
fn bits(nats: f64) -> f64 {
    nats / LN_2
}

/// The square of the standard error of the mean; none of fewer than two values.
fn variance_of_mean(values: &[f64]) -> Option<f64> {
    let num = values.len() as f64;
    let mean = values.iter().sum::<f64>() / num;
    let square: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (values.len() > 1).then(|| square / (num - 1.0) / num)
}

#[cfg(test)]
mod tests {
    use pfgmpp_sampler::ProbeKind;

    use super::*;

    #[test]
    fn errors_over_data_and_over_probes_are_told_apart() {
        let item = |by_probe: [f64; 2]| ItemLikelihood {
            ln_p: (by_probe[0] + by_probe[1]) / 2.0,
            by_probe: by_probe.to_vec(),
            prior: -3.0,
            class: None,
            evaluations: 5.0,
        };
        let (probes, kind) = (2, ProbeKind::Rademacher);
        let trace = Trace::Hutchinson { probes, kind };
        let items = [item([-4.0, -8.0]), item([-10.0, -10.0])];
        let got = LikelihoodSummary::of(&items, 2, trace);
        assert_eq!(got.nats_per_dimension, 4.0);
        // ln p of -6 and -10: their variance is 8, that of their mean 4.
        assert_eq!(got.standard_error_data, Some(1.0));
        // Variances of the means over probes are 4 and 0.
        assert_eq!(got.standard_error_probes, Some(0.5));
        assert_eq!(got.prior_nats_per_dimension, 1.5);
        let eight_bit = got.bits_per_dimension_8_bit - got.bits_per_dimension;
        assert!((eight_bit - 6.994).abs() < 1e-3, "got {eight_bit}");
    }

    #[test]
    fn one_datum_or_one_probe_has_no_error() {
        let item = ItemLikelihood {
            ln_p: -1.0,
            by_probe: vec![-1.0],
            prior: 0.0,
            class: None,
            evaluations: 1.0,
        };
        let (probes, kind) = (1, ProbeKind::Rademacher);
        let trace = Trace::Hutchinson { probes, kind };
        let got = LikelihoodSummary::of(&[item], 1, trace);
        assert_eq!(
            (got.standard_error_data, got.standard_error_probes),
            (None, None)
        );
    }

    #[test]
    fn dequantization_noise_fills_one_grey_level() {
        let x = Tensor::zeros((4, 1, 16, 16), candle_core::DType::F64, &Device::Cpu).unwrap();
        let noise = grey_noise(&[1, 2, 3, 4], &x)
            .unwrap()
            .flatten_all()
            .unwrap();
        let values = noise.to_vec1::<f64>().unwrap();
        let most = values.iter().fold(0.0f64, |most, v| most.max(v.abs()));
        assert!((0.0039..1.0 / 255.0).contains(&most), "got {most}");
        let mean = values.iter().sum::<f64>() / 1024.0;
        // Three standard errors of a uniform law of this width.
        let bound = 3.0 * 2.0 / 255.0 / 12f64.sqrt() / 32.0;
        assert!(
            mean.abs() < bound,
            "got a mean of {mean}, want below {bound}"
        );
    }
}
