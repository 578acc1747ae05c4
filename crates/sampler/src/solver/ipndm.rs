//! iPNDM: the slopes of the steps before, with the weights of even steps.

use candle_core::{Result, Tensor};
use pfgmpp_transfer::{Levels, ParameterError};

use super::{Solver, Step, fixed_evaluations};
use crate::Path;

/// The weights of Adams and Bashforth for 1 to 4 slopes at even steps, the latest first.
const WEIGHTS: [&[f64]; 4] = [
    &[1.0],
    &[1.5, -0.5],
    &[23.0 / 12.0, -16.0 / 12.0, 5.0 / 12.0],
    &[55.0 / 24.0, -59.0 / 24.0, 37.0 / 24.0, -9.0 / 24.0],
];

/// The improved pseudo numerical method (iPNDM): up to `order` slopes, one evaluation per step.
///
/// The weights are those of even steps, whatever the schedule's are, and the first steps use as many slopes as there
/// are. So the order at the end is 2 at most; what more slopes gain is a smaller error at few steps. Source: Zhang and
/// Chen 2022, arXiv:2204.13902, appendix; Liu et al. 2022, arXiv:2202.09778, equation 9.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipndm {
    /// Number of slopes, 1 to 4.
    pub order: usize,
}

impl Solver for Ipndm {
    fn order(&self) -> usize {
        self.order.min(2)
    }

    fn evaluations(&self, levels: &Levels) -> Option<usize> {
        Some(fixed_evaluations(1, levels))
    }

    fn history(&self) -> usize {
        self.order - 1
    }

    fn check(&self) -> std::result::Result<(), ParameterError> {
        ParameterError::counted("order", self.order as u64, 1, 4)
    }

    fn step(&self, step: &Step, path: &mut Path) -> Result<Tensor> {
        let found = path.evaluate(&step.x, step.sigma)?;
        let weights = WEIGHTS[path.past().len()];
        let mut slope = (&found.slope * weights[0])?;
        for (past, weight) in path.past().iter().zip(&weights[1..]) {
            slope = (slope + (&past.evaluation.slope * *weight)?)?;
        }
        path.remember(step.sigma, found);
        step.along(&slope)
    }
}

#[cfg(test)]
mod tests {
    use super::Ipndm;

    #[test]
    fn ipndm_keeps_what_it_declares() {
        for order in 1..=4 {
            crate::conformance::holds(&Ipndm { order });
        }
    }
}
