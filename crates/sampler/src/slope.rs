//! What a solver integrates.

use candle_core::{Result, Tensor};
use pfgmpp_kernel::Denoiser;

use crate::state::column;

/// The right-hand side of the sampling ODE at one place, and the estimate behind it.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// `dx/dsigma`, shape `[B, ...]`.
    pub slope: Tensor,
    /// The estimate of `E[y | x]` behind it, `x - sigma slope`, shape `[B, ...]`.
    pub denoised: Tensor,
}

/// The right-hand side of the sampling ODE for the samples of one batch.
pub trait Slope: Sized {
    /// `dx/dsigma` at `x`, each sample at a noise level of its own.
    ///
    /// - `x`: shape `[B, ...]`.
    /// - `sigma`: above 0, length `B`, in units of the data.
    /// - `guess`: an estimate of `E[y | x]` from nearby, usually the last evaluation's `denoised`.
    ///
    /// # Errors
    ///
    /// Failures of the model behind the slope.
    fn slope(&self, x: &Tensor, sigma: &[f64], guess: Option<&Tensor>) -> Result<Evaluation>;

    /// The slope of some of the samples, in the order of their positions `samples`, `u32` `[K]`.
    ///
    /// What differs between samples, such as their labels, is selected; a slope without any of it
    /// is the same slope.
    ///
    /// # Errors
    ///
    /// Failures of the tensor backend.
    fn select(&self, samples: &Tensor) -> Result<Self>;
}

/// The slope that a denoiser gives.
///
/// ```text
/// dx/dsigma = (x - denoised) / sigma
/// ```
pub struct DenoiserSlope<'a> {
    denoiser: &'a dyn Denoiser,
    labels: Option<Tensor>,
}

impl<'a> DenoiserSlope<'a> {
    /// The slope of `denoiser`, under class `labels` `[B, label_dim]` if it is conditional.
    pub fn new(denoiser: &'a dyn Denoiser, labels: Option<&Tensor>) -> Self {
        Self {
            denoiser,
            labels: labels.cloned(),
        }
    }
}

impl Slope for DenoiserSlope<'_> {
    fn slope(&self, x: &Tensor, sigma: &[f64], guess: Option<&Tensor>) -> Result<Evaluation> {
        let denoised = self
            .denoiser
            .denoise_near(x, sigma, self.labels.as_ref(), guess)?;
        let slope = (x - &denoised)?.broadcast_div(&column(sigma, x)?)?;
        Ok(Evaluation { slope, denoised })
    }

    fn select(&self, samples: &Tensor) -> Result<Self> {
        let labels = self.labels.as_ref();
        Ok(Self {
            denoiser: self.denoiser,
            labels: labels.map(|l| l.index_select(samples, 0)).transpose()?,
        })
    }
}
