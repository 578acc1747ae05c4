//! Heun's method.

use candle_core::{Result, Tensor};

use crate::Slope;
use crate::state::State;

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
pub fn heun(slope: &impl Slope, x: Tensor, sigmas: &[f64]) -> Result<Tensor> {
    let mut state = State::new(x);
    for step in sigmas.windows(2) {
        state = heun_step(slope, &state, step[0], step[1])?;
    }
    Ok(state.x)
}

/// One step of [`heun`] from level `sigma_cur` to `sigma_next`.
pub(crate) fn heun_step<S: Slope>(
    slope: &S,
    state: &State,
    sigma_cur: f64,
    sigma_next: f64,
) -> Result<State> {
    let (x, batch) = (&state.x, state.batch()?);
    let cur = slope.slope(x, &vec![sigma_cur; batch], state.denoised.as_ref())?;
    let d_cur = cur.slope;
    let x_euler = (x + (&d_cur * (sigma_next - sigma_cur))?)?;
    if sigma_next == 0.0 {
        let denoised = Some(cur.denoised);
        return Ok(State {
            x: x_euler,
            denoised,
        });
    }
    let next = slope.slope(&x_euler, &vec![sigma_next; batch], Some(&cur.denoised))?;
    let d_prime = next.slope;
    Ok(State {
        x: (x + ((d_cur + d_prime)? * (0.5 * (sigma_next - sigma_cur)))?)?,
        denoised: Some(next.denoised),
    })
}
