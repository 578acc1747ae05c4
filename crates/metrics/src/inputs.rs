//! What metrics are measured on.

use std::error::Error;

use candle_core::Tensor;
use pfgmpp_kernel::SampleRng;

use crate::samples::MetricError;

/// Something that a metric is measured on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The samples under test.
    Samples,
    /// Data that no model saw.
    HeldOut,
    /// The data that the model was made of.
    Training,
    /// The model's estimates of held-out data from noisy ones.
    Denoiser,
    /// Features of samples and of held-out data.
    Features,
}

impl Need {
    fn name(self) -> &'static str {
        match self {
            Self::Samples => "samples",
            Self::HeldOut => "held-out data",
            Self::Training => "training data",
            Self::Denoiser => "a denoiser",
            Self::Features => "features of samples and of held-out data",
        }
    }
}

/// What metrics are measured on: all that is at hand, and what they have in common.
///
/// Tensors are of shape `[n, ...]` with as many values a sample, `f32` or `f64`.
#[derive(Clone, Copy, Default)]
pub struct Inputs<'a> {
    /// The samples under test.
    pub samples: Option<&'a Tensor>,
    /// Data that no model saw.
    pub held_out: Option<&'a Tensor>,
    /// The data that the model was made of.
    pub training: Option<&'a Tensor>,
    /// The model.
    pub denoiser: Option<&'a dyn HeldOutDenoiser>,
    /// Features of samples and of held-out data, for the metrics that look through features; where there are none, they
    /// look at the samples and data themselves.
    pub features: Option<[&'a Tensor; 2]>,
    /// Whether standard errors that take a while are worth it.
    pub errors: bool,
    /// Whether standard errors by resampling rows are worth it, where a metric has no others.
    pub resample: bool,
    /// Random directions of metrics that project.
    pub num_projections: usize,
    /// Seed of everything that a metric draws.
    pub seed: u64,
}

/// A model and the held-out data that it is to estimate.
pub trait HeldOutDenoiser {
    /// Number of held-out data.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The model's estimates of the data at `indices`, from what the kernel of its samples makes of them at
    /// `sigma`, less the data: `[indices.len(), ...]`. One of `rngs` a datum.
    ///
    /// # Errors
    ///
    /// Failures of the model.
    fn errors(
        &self,
        indices: &[usize],
        sigma: f64,
        rngs: &mut [SampleRng],
    ) -> Result<Tensor, Box<dyn Error + Send + Sync>>;

    /// `-ln p / N` of the data at `indices` under the model, in nats per dimension, by one random probe each, which
    /// follows from `seed` and the datum's index.
    ///
    /// # Errors
    ///
    /// Failures of the model.
    fn nll(&self, indices: &[usize], seed: u64) -> Result<Vec<f64>, Box<dyn Error + Send + Sync>>;
}

impl<'a> Inputs<'a> {
    /// Whether it holds `need`.
    pub fn has(&self, need: Need) -> bool {
        match need {
            Need::Samples => self.samples.is_some(),
            Need::HeldOut => self.held_out.is_some(),
            Need::Training => self.training.is_some(),
            Need::Denoiser => self.denoiser.is_some(),
            Need::Features => {
                self.features.is_some() || (self.samples.is_some() && self.held_out.is_some())
            }
        }
    }

    /// The samples under test.
    ///
    /// # Errors
    ///
    /// [`MetricError::Missing`].
    pub fn samples(&self) -> Result<&'a Tensor, MetricError> {
        self.samples.ok_or(missing(Need::Samples))
    }

    /// Data that no model saw.
    ///
    /// # Errors
    ///
    /// [`MetricError::Missing`].
    pub fn held_out(&self) -> Result<&'a Tensor, MetricError> {
        self.held_out.ok_or(missing(Need::HeldOut))
    }

    /// The data that the model was made of.
    ///
    /// # Errors
    ///
    /// [`MetricError::Missing`].
    pub fn training(&self) -> Result<&'a Tensor, MetricError> {
        self.training.ok_or(missing(Need::Training))
    }

    /// What metrics of features are measured on: of the samples, of the held-out data.
    ///
    /// # Errors
    ///
    /// [`MetricError::Missing`].
    pub fn features(&self) -> Result<[&'a Tensor; 2], MetricError> {
        match (self.features, self.samples, self.held_out) {
            (Some(features), ..) => Ok(features),
            (None, Some(samples), Some(held_out)) => Ok([samples, held_out]),
            _ => Err(missing(Need::Features)),
        }
    }

    /// The model.
    ///
    /// # Errors
    ///
    /// [`MetricError::Missing`].
    pub fn denoiser(&self) -> Result<&'a dyn HeldOutDenoiser, MetricError> {
        self.denoiser.ok_or(missing(Need::Denoiser))
    }
}

fn missing(need: Need) -> MetricError {
    MetricError::Missing { need: need.name() }
}
