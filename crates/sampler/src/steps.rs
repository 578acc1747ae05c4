//! Fixed-step solvers: Euler's and Heun's methods.

use candle_core::{Result, Tensor};

use crate::churn::Churn;
use crate::{Slope, Watch};

/// Integrates `dx/dsigma` from `sigmas[0]` to the last level with Euler's first-order method.
///
/// - `x`: the state at `sigmas[0]`, shape `[B, ...]`.
/// - `sigmas`: falling noise levels; the last may be 0.
/// - `churn`: noise to add before each step, if any.
/// - `watch`: sees the state after each step.
///
/// Takes `len - 1` evaluations. In `ln sigma`, with `sigma` exact within a step, the method is the same:
/// `sigma dx/dsigma (e^Δ - 1)` is `dx/dsigma (sigma_next - sigma_cur)`.
///
/// # Errors
///
/// Failures of the slope.
pub fn euler(
    slope: &dyn Slope,
    x: Tensor,
    sigmas: &[f64],
    churn: Option<&Churn>,
    watch: &mut Watch,
) -> Result<Tensor> {
    integrate(slope, x, sigmas, churn, watch, false)
}

/// Integrates `dx/dsigma` from `sigmas[0]` to the last level with Heun's second-order method.
///
/// Arguments as those of [`euler`]. The level 0 is reached by an Euler step because the slope is not
/// defined there. Takes `2 (len - 1)` evaluations, one fewer when the last level is 0. Source: Karras
/// et al. 2022, algorithms 1 and 2; the improved Euler method of original PFGM is the same.
///
/// # Errors
///
/// Failures of the slope.
pub fn heun(
    slope: &dyn Slope,
    x: Tensor,
    sigmas: &[f64],
    churn: Option<&Churn>,
    watch: &mut Watch,
) -> Result<Tensor> {
    integrate(slope, x, sigmas, churn, watch, true)
}

fn integrate(
    slope: &dyn Slope,
    mut x: Tensor,
    sigmas: &[f64],
    churn: Option<&Churn>,
    watch: &mut Watch,
    second_order: bool,
) -> Result<Tensor> {
    let batch = x.dim(0)?;
    let samples: Vec<usize> = (0..batch).collect();
    let mut denoised: Option<Tensor> = None;
    for (step, levels) in sigmas.windows(2).enumerate() {
        let (sigma_cur, sigma_next) = (levels[0], levels[1]);
        let (x_hat, sigma_hat) = match churn {
            None => (x, sigma_cur),
            Some(churn) => churn.step(step, x, sigma_cur, denoised.as_ref(), slope)?,
        };
        let at = |x: &Tensor, sigma: f64, guess: &Option<Tensor>| {
            slope.evaluate(x, &vec![sigma; batch], guess.as_ref())
        };
        let cur = at(&x_hat, sigma_hat, &denoised)?;
        denoised = Some(cur.denoised);
        let d_cur = cur.slope;
        let span = sigma_next - sigma_hat;
        let x_euler = (&x_hat + (&d_cur * span)?)?;
        x = if second_order && sigma_next > 0.0 {
            let prime = at(&x_euler, sigma_next, &denoised)?;
            denoised = Some(prime.denoised);
            (x_hat + ((d_cur + prime.slope)? * (0.5 * span))?)?
        } else {
            x_euler
        };
        watch(&samples, &vec![sigma_next; batch], &x)?;
    }
    Ok(x)
}
