//! Heun's method.

use candle_core::{Result, Tensor};

use crate::Slope;

/// Integrates `dx/dsigma` from `sigmas[0]` to the last level with Heun's second-order method.
///
/// - `x`: the state at `sigmas[0]`, shape `[B, ...]`.
/// - `sigmas`: falling noise levels; the last may be 0, which is reached by an Euler step because
///   the slope is not defined there.
///
/// Takes `2 (len - 1)` evaluations, one fewer when the last level is 0. Source: Karras et al. 2022,
/// algorithm 1.
///
/// # Errors
///
/// Failures of the slope.
pub fn heun(slope: &impl Slope, mut x: Tensor, sigmas: &[f64]) -> Result<Tensor> {
    for step in sigmas.windows(2) {
        let (sigma_cur, sigma_next) = (step[0], step[1]);
        let d_cur = slope.slope(&x, sigma_cur)?;
        let x_euler = (&x + (&d_cur * (sigma_next - sigma_cur))?)?;
        x = if sigma_next > 0.0 {
            let d_prime = slope.slope(&x_euler, sigma_next)?;
            (x + ((d_cur + d_prime)? * (0.5 * (sigma_next - sigma_cur)))?)?
        } else {
            x_euler
        };
    }
    Ok(x)
}
