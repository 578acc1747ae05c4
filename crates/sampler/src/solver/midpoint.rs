//! The midpoint method.

use candle_core::{Result, Tensor};
use pfgmpp_transfer::Levels;

use super::{Solver, Step, fixed_evaluations};
use crate::Path;

/// The second-order midpoint method, two evaluations a step.
///
/// The second is halfway in `ln sigma`, where the steps of diffusion models are about even, and the estimate found
/// there is followed for the whole step, with sigma exact within it:
///
/// ```text
/// x_next = (sigma_next / sigma) x + (1 - sigma_next / sigma) E[y | x_mid],   sigma_mid = sqrt(sigma sigma_next)
/// ```
///
/// Source: Lu et al. 2022, arXiv:2211.01095, DPM-Solver++(2S) with r = 1/2, in sigma.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Midpoint;

impl Solver for Midpoint {
    fn order(&self) -> usize {
        2
    }

    fn evaluations(&self, levels: &Levels) -> Option<usize> {
        Some(fixed_evaluations(2, levels))
    }

    fn step(&self, step: &Step, path: &mut Path) -> Result<Tensor> {
        let d_cur = path.evaluate(&step.x, step.sigma)?.slope;
        let sigma_mid = (step.sigma * step.sigma_next).sqrt();
        let x_mid = (&step.x + (d_cur * (sigma_mid - step.sigma))?)?;
        let found = path.evaluate(&x_mid, sigma_mid)?;
        // The estimate changes little in a step, the slope as 1 / sigma: follow the estimate.
        let kept = step.sigma_next / step.sigma;
        (&step.x * kept)? + (found.denoised * (1.0 - kept))?
    }
}

#[cfg(test)]
mod tests {
    use super::Midpoint;

    #[test]
    fn midpoint_keeps_what_it_declares() {
        crate::conformance::holds(&Midpoint);
    }
}
