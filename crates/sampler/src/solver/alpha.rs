//! The family of second-order methods with two evaluations.

use candle_core::{Result, Tensor};
use pfgmpp_transfer::{Levels, ParameterError};

use super::{Solver, Step, fixed_evaluations};
use crate::Path;

/// The second-order Runge-Kutta methods whose second evaluation is a share `alpha` of the step away.
///
/// ```text
/// x' = x + alpha h d,   x_next = x + h ((1 - 1/(2 alpha)) d + 1/(2 alpha) d'),   h = sigma_next - sigma
/// ```
///
/// `alpha` 1 is Heun's method, 1/2 the midpoint method in sigma, 2/3 Ralston's. Source: Karras et al. 2022, algorithm 3.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alpha {
    /// Where the second evaluation is, from 0.1 to 1 of the step.
    pub alpha: f64,
}

impl Solver for Alpha {
    fn order(&self) -> usize {
        2
    }

    fn evaluations(&self, levels: &Levels) -> Option<usize> {
        Some(fixed_evaluations(2, levels))
    }

    fn check(&self) -> std::result::Result<(), ParameterError> {
        ParameterError::within("alpha", self.alpha, 0.1, 1.0)
    }

    fn step(&self, step: &Step, path: &mut Path) -> Result<Tensor> {
        let h = step.sigma_next - step.sigma;
        let d_cur = path.evaluate(&step.x, step.sigma)?.slope;
        let x_prime = (&step.x + (&d_cur * (self.alpha * h))?)?;
        let sigma_prime = step.sigma + self.alpha * h;
        let d_prime = path.evaluate(&x_prime, sigma_prime)?.slope;
        let weight = 0.5 / self.alpha;
        step.along(&((d_cur * (1.0 - weight))? + (d_prime * weight)?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::Alpha;

    #[test]
    fn the_alpha_family_keeps_what_it_declares() {
        for alpha in [0.5, 2.0 / 3.0, 1.0] {
            crate::conformance::holds(&Alpha { alpha });
        }
    }
}
