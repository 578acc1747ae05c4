//! The midpoint method.

use candle_core::{Result, Tensor};
use pfgmpp_transfer::Levels;

use super::{Solver, Step, fixed_evaluations};
use crate::{Evaluation, Path};

/// The second-order midpoint method, two evaluations per step.
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
        let found = path.evaluate(&step.x, step.sigma)?;
        Self::from(step, &found, path)
    }
}

impl Midpoint {
    /// The step whose first evaluation is known.
    pub(super) fn from(step: &Step, found: &Evaluation, path: &mut Path) -> Result<Tensor> {
        let sigma_mid = (step.sigma * step.sigma_next).sqrt();
        let x_mid = (&step.x + (&found.slope * (sigma_mid - step.sigma))?)?;
        let found = path.evaluate(&x_mid, sigma_mid)?;
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
