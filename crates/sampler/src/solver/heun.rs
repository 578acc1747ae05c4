//! Heun's method.

use candle_core::{Result, Tensor};
use pfgmpp_transfer::Levels;

use super::{Solver, Step, fixed_evaluations};
use crate::{Evaluation, Path};

/// Heun's second-order method, two evaluations per step.
///
/// Source: Karras et al. 2022, algorithms 1 and 2; the improved Euler method of original PFGM is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heun;

impl Solver for Heun {
    fn order(&self) -> usize {
        2
    }

    fn evaluations(&self, levels: &Levels) -> Option<usize> {
        Some(fixed_evaluations(2, levels))
    }

    fn step(&self, step: &Step, path: &mut Path) -> Result<Tensor> {
        let found = path.evaluate(&step.x, step.sigma)?;
        Self::from(step, found, path)
    }
}

impl Heun {
    /// The step whose first evaluation is known.
    pub(super) fn from(step: &Step, found: Evaluation, path: &mut Path) -> Result<Tensor> {
        let d_cur = found.slope;
        let x_euler = step.along(&d_cur)?;
        let d_prime = path.evaluate(&x_euler, step.sigma_next)?.slope;
        let span = step.sigma_next - step.sigma;
        &step.x + ((d_cur + d_prime)? * (0.5 * span))?
    }
}

#[cfg(test)]
mod tests {
    use super::Heun;

    #[test]
    fn heun_keeps_what_it_declares() {
        crate::conformance::holds(&Heun);
    }
}
