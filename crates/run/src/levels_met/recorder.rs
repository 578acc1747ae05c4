//! Levels read wherever a denoiser is asked.

use std::sync::Mutex;

use candle_core::{Result, Tensor};
use pfgmpp_kernel::{ConditionSpec, Denoiser, Query, squared_norms};
use pfgmpp_transfer::DenoisingError;

/// ln(shown/nominal) of items by evaluation.
#[derive(Clone, Debug, Default)]
pub(super) struct Deviations {
    /// The level of each evaluation.
    pub sigma: Vec<f64>,
    /// For each evaluation that of each item.
    pub values: Vec<Vec<f64>>,
}

impl Deviations {
    pub fn append(&mut self, other: Self) {
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
pub(super) struct Recorder<'a> {
    model: &'a dyn Denoiser,
    error: &'a DenoisingError,
    n: f64,
    met: Mutex<Deviations>,
}

impl<'a> Recorder<'a> {
    pub fn new(model: &'a dyn Denoiser, error: &'a DenoisingError, n: usize) -> Self {
        let met = Mutex::default();
        Self {
            model,
            error,
            n: n as f64,
            met,
        }
    }

    pub fn taken(self) -> Deviations {
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
