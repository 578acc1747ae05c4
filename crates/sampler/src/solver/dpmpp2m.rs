//! DPM-Solver++ with two steps.

use candle_core::{Result, Tensor};
use pfgmpp_transfer::Levels;

use super::{Solver, Step, fixed_evaluations};
use crate::Path;

/// DPM-Solver++(2M): second order, one evaluation per step.
///
/// With `lambda = -ln sigma` and `E` the estimates `E[y|x]` of this step and the one before:
///
/// ```text
/// x_next = (sigma_next / sigma) x + (1 - e^-h) ((1 + 1/(2r)) E - 1/(2r) E_1)
/// h = lambda_next - lambda,   r = (lambda - lambda_1) / h
/// ```
///
/// The first step is Euler's. Source: Lu et al. 2022, arXiv:2211.01095, algorithm 2, which holds at every D because
/// the slope does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dpmpp2m;

impl Solver for Dpmpp2m {
    fn order(&self) -> usize {
        2
    }

    fn evaluations(&self, levels: &Levels) -> Option<usize> {
        Some(fixed_evaluations(1, levels))
    }

    fn history(&self) -> usize {
        1
    }

    fn step(&self, step: &Step, path: &mut Path) -> Result<Tensor> {
        let found = path.evaluate(&step.x, step.sigma)?;
        let h = (step.sigma / step.sigma_next).ln();
        let estimate = match path.past().front() {
            None => found.denoised.clone(),
            Some(past) => {
                let weight = 0.5 * h / (past.sigma / step.sigma).ln();
                ((&found.denoised * (1.0 + weight))? - (&past.evaluation.denoised * weight)?)?
            }
        };
        path.remember(step.sigma, found);
        (&step.x * (-h).exp())? - (estimate * (-h).exp_m1())?
    }
}

#[cfg(test)]
mod tests {
    use super::Dpmpp2m;

    #[test]
    fn dpmpp2m_keeps_what_it_declares() {
        crate::conformance::holds(&Dpmpp2m);
    }
}
