//! What a solver integrates.

use candle_core::{Result, Tensor};
use pfgmpp_kernel::{Condition, Denoiser, Query, beside};

/// The right-hand side of the sampling ODE at some points.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// `dx/dsigma`, shape `[B, ...]`.
    pub slope: Tensor,
    /// The estimate of `E[y | x]` that it follows from, shape `[B, ...]`.
    pub denoised: Tensor,
}

/// The right-hand side of the sampling ODE.
pub trait Slope {
    /// `dx/dsigma` at `x`, shape `[B, ...]`, and noise levels `sigma > 0`, length `B`.
    ///
    /// `guess` is an estimate of `E[y | x]` nearby, shaped as `x`: the solver's last one.
    ///
    /// # Errors
    ///
    /// Failures of the model behind the slope.
    fn evaluate(&self, x: &Tensor, sigma: &[f64], guess: Option<&Tensor>) -> Result<Evaluation>;
}

/// The slope that a denoiser gives.
///
/// ```text
/// dx/dsigma = (x - denoised) / sigma
/// ```
pub struct DenoiserSlope<'a> {
    denoiser: &'a dyn Denoiser,
    condition: &'a Condition,
}

impl<'a> DenoiserSlope<'a> {
    /// The slope of `denoiser`, under a condition if there is one.
    pub fn new(denoiser: &'a dyn Denoiser, condition: Option<&'a Condition>) -> Self {
        let condition = condition.unwrap_or(Condition::unconditional());
        Self {
            denoiser,
            condition,
        }
    }
}

impl Slope for DenoiserSlope<'_> {
    fn evaluate(&self, x: &Tensor, sigma: &[f64], guess: Option<&Tensor>) -> Result<Evaluation> {
        let query = Query::new(x, sigma).under(self.condition).near(guess);
        let denoised = self.denoiser.denoise(&query)?;
        let slope = (x - &denoised)?.broadcast_div(&column(sigma, x)?)?;
        Ok(Evaluation { slope, denoised })
    }
}

/// One value a sample, shaped to multiply `x` `[B, ...]`.
pub(crate) fn column(values: &[f64], x: &Tensor) -> Result<Tensor> {
    let mut shape = vec![1; x.rank()];
    shape[0] = values.len();
    beside(values.to_vec(), shape, x)
}
