//! Euler's method.

use candle_core::{Result, Tensor};

use crate::Slope;
use crate::state::State;

/// Integrates `dx/dsigma` from `sigmas[0]` to the last level with Euler's first-order method.
///
/// - `x`: the state at `sigmas[0]`, shape `[B, ...]`.
/// - `sigmas`: falling noise levels; the last may be 0.
///
/// ```text
/// x_next = x + (sigma_next - sigma) dx/dsigma
/// ```
///
/// Takes `len - 1` evaluations.
///
/// # Errors
///
/// Failures of the slope.
pub fn euler(slope: &impl Slope, x: Tensor, sigmas: &[f64]) -> Result<Tensor> {
    let mut state = State::new(x);
    for step in sigmas.windows(2) {
        state = euler_step(slope, &state, step[0], step[1])?;
    }
    Ok(state.x)
}

/// One step of [`euler`] from level `sigma_cur` to `sigma_next`.
pub(crate) fn euler_step<S: Slope>(
    slope: &S,
    state: &State,
    sigma_cur: f64,
    sigma_next: f64,
) -> Result<State> {
    let sigma = vec![sigma_cur; state.batch()?];
    let cur = slope.slope(&state.x, &sigma, state.denoised.as_ref())?;
    let x = (&state.x + (cur.slope * (sigma_next - sigma_cur))?)?;
    let denoised = Some(cur.denoised);
    Ok(State { x, denoised })
}
