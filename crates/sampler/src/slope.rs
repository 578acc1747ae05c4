//! What a solver integrates.

use candle_core::{Result, Tensor};
use pfgmpp_kernel::Denoiser;

/// The right-hand side of the sampling ODE.
pub trait Slope {
    /// `dx/dsigma` at `x`, shape `[B, ...]`, for the noise level `sigma > 0` shared by the batch.
    ///
    /// # Errors
    ///
    /// Failures of the model behind the slope.
    fn slope(&self, x: &Tensor, sigma: f64) -> Result<Tensor>;
}

/// The slope that a denoiser gives.
///
/// ```text
/// dx/dsigma = (x - denoised) / sigma
/// ```
pub struct DenoiserSlope<'a> {
    denoiser: &'a dyn Denoiser,
    labels: Option<&'a Tensor>,
}

impl<'a> DenoiserSlope<'a> {
    /// The slope of `denoiser`, under class `labels` `[B, label_dim]` if it is conditional.
    pub fn new(denoiser: &'a dyn Denoiser, labels: Option<&'a Tensor>) -> Self {
        Self { denoiser, labels }
    }
}

impl Slope for DenoiserSlope<'_> {
    fn slope(&self, x: &Tensor, sigma: f64) -> Result<Tensor> {
        let denoised = self
            .denoiser
            .denoise(x, &vec![sigma; x.dim(0)?], self.labels)?;
        (x - denoised)? / sigma
    }
}
