//! The Dormand-Prince method with an error bound, each sample with a step of its own.

mod batch;
mod tableau;

use candle_core::{Result, Tensor};
use pfgmpp_transfer::ParameterError;
use serde::{Deserialize, Serialize};

use crate::Slope;
use crate::observer::{Observer, Stop};
use batch::Batch;

/// How far the error of one step may go.
///
/// ```text
/// sqrt(mean_i (error_i / (atol + rtol max(|x_i|, |x_next_i|)))²) <= 1
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rk45 {
    /// Relative to the values of the sample.
    pub rtol: f64,
    /// In units of the data.
    pub atol: f64,
}

impl Rk45 {
    /// Checks the parameters.
    ///
    /// # Errors
    ///
    /// A tolerance outside 1e-12 (where the arithmetic itself errs) to 1.
    pub fn check(&self) -> std::result::Result<(), ParameterError> {
        ParameterError::within("rtol", self.rtol, 1e-12, 1.0)?;
        ParameterError::within("atol", self.atol, 1e-12, 1.0)
    }
}

/// A sample that [`rk45`] cannot bring to its end.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Rk45Error {
    /// The bound on the number of steps was met.
    #[error(
        "rk45: sample {sample} has taken {MAX_STEPS} steps and is at sigma = {sigma}: \
         raise rtol or atol"
    )]
    TooManySteps {
        /// Position in the batch.
        sample: usize,
        /// How far it came.
        sigma: f64,
    },
    /// No step is small enough: the slope is not finite, or jumps.
    #[error(
        "rk45: no step from sigma = {sigma} meets the tolerance for sample {sample}: the model's \
         output is not finite there or jumps"
    )]
    NoStep {
        /// Position in the batch.
        sample: usize,
        /// Where it stands.
        sigma: f64,
    },
}

impl From<Rk45Error> for candle_core::Error {
    fn from(error: Rk45Error) -> Self {
        Self::wrap(error)
    }
}

/// Trial steps of one sample; a smooth problem at the tightest tolerance takes a few hundred.
const MAX_STEPS: usize = 10_000;

/// Integrates `dx/dsigma` from `sigmas[0]` to the last level, in `ln sigma`, with the pair 5(4) of
/// Dormand and Prince.
///
/// - `x`: the state at `sigmas[0]`, shape `[B, ...]`; `f64`, if the tolerance is below 1e-6.
/// - `sigmas`: falling noise levels, of which only the ends and the number matter: the first trial
///   step is the span of `ln sigma` by the number of levels above 0. If the last is 0, it is reached
///   from the level before it by an Euler step, which costs no evaluation.
///
/// Each sample has its own position, step and error, and leaves the batch when it is done: a sample
/// does not depend on its batch. Takes one evaluation, and six for each trial step. Source: Dormand
/// and Prince 1980, "A family of embedded Runge-Kutta formulae".
///
/// # Errors
///
/// [`Rk45Error`], and failures of the slope.
pub fn rk45<S: Slope>(slope: &S, x: Tensor, sigmas: &[f64], tolerance: &Rk45) -> Result<Tensor> {
    rk45_observed(slope, x, sigmas, tolerance, &mut ())
}

/// [`rk45`] while `observer` looks on.
pub(crate) fn rk45_observed<S: Slope>(
    slope: &S,
    x: Tensor,
    sigmas: &[f64],
    tolerance: &Rk45,
    observer: &mut impl Observer,
) -> Result<Tensor> {
    let (num_samples, last) = (x.dim(0)?, sigmas.last());
    let above_zero: Vec<f64> = sigmas.iter().copied().filter(|s| *s > 0.0).collect();
    let (Some(&sigma_max), Some(&sigma_min)) = (above_zero.first(), above_zero.last()) else {
        return Ok(x);
    };
    if num_samples == 0 {
        return Ok(x);
    }
    let steps = (sigmas.len() - 1).max(1) as f64;
    let first_step = (sigma_max / sigma_min).ln() / steps;
    observer.visit_all(&x, sigma_max)?;
    let mut batch = Batch::start(slope, x, sigma_max, sigma_min, first_step)?;
    let mut done = vec![None; num_samples];
    for _ in 0..MAX_STEPS {
        batch.advance(tolerance)?;
        observer.visit(batch.x(), &batch.moved())?;
        for (sample, x, at_zero) in batch.take_finished()? {
            let is_at_end = last != Some(&0.0);
            if !is_at_end {
                let (row, sigma) = (0, 0.0);
                observer.visit(&at_zero.unsqueeze(0)?, &[Stop { row, sample, sigma }])?;
            }
            done[sample] = Some(if is_at_end { x } else { at_zero });
        }
        if batch.is_empty() {
            let done: Vec<Tensor> = done.into_iter().flatten().collect();
            return Tensor::stack(&done, 0);
        }
    }
    let (sample, sigma) = batch.position(0);
    Err(Rk45Error::TooManySteps { sample, sigma }.into())
}
