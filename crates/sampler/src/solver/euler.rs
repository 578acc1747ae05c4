//! Euler's method.

use candle_core::{Result, Tensor};
use pfgmpp_transfer::Levels;

use super::{Solver, Step, fixed_evaluations};
use crate::Path;

/// Euler's first-order method, one evaluation per step.
///
/// In `ln sigma`, with `sigma` exact within a step, the method is the same: `sigma dx/dsigma (e^Δ - 1)` is
/// `dx/dsigma (sigma_next - sigma)`. It is DDIM, and the first-order exponential integrator, of every D.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Euler;

impl Solver for Euler {
    fn order(&self) -> usize {
        1
    }

    fn evaluations(&self, levels: &Levels) -> Option<usize> {
        Some(fixed_evaluations(1, levels))
    }

    fn step(&self, step: &Step, path: &mut Path) -> Result<Tensor> {
        let d_cur = path.evaluate(&step.x, step.sigma)?.slope;
        step.along(&d_cur)
    }
}

#[cfg(test)]
mod tests {
    use super::Euler;

    #[test]
    fn euler_keeps_what_it_declares() {
        crate::conformance::holds(&Euler);
    }
}
