//! DEIS: polynomials through the slopes of the steps before.

use candle_core::{Result, Tensor};
use pfgmpp_transfer::{Levels, ParameterError};

use super::{Heun, Solver, Step, fixed_evaluations};
use crate::Path;

/// The diffusion exponential integrator sampler (tAB-DEIS): the slope is followed as the polynomial in sigma through its
/// last `order` values, one evaluation per step, and one more in the first at order 3.
///
/// In sigma the linear part of the ODE is nothing but a factor, so this is the Adams-Bashforth method for steps of any
/// length. The first step is Euler's, at order 3 Heun's, without which the whole would be of second order. Source:
/// Zhang and Chen 2022, arXiv:2204.13902, section 3.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deis {
    /// Number of slopes, 1 to 3.
    pub order: usize,
}

impl Solver for Deis {
    fn order(&self) -> usize {
        self.order
    }

    fn evaluations(&self, levels: &Levels) -> Option<usize> {
        let first = self.order == 3 && levels.steps_above_zero() > 0;
        Some(fixed_evaluations(1, levels) + usize::from(first))
    }

    fn history(&self) -> usize {
        self.order - 1
    }

    fn check(&self) -> std::result::Result<(), ParameterError> {
        ParameterError::counted("order", self.order as u64, 1, 3)
    }

    fn step(&self, step: &Step, path: &mut Path) -> Result<Tensor> {
        let found = path.evaluate(&step.x, step.sigma)?;
        if self.order == 3 && path.past().is_empty() {
            path.remember(step.sigma, found.clone());
            return Heun::from(step, found, path);
        }
        let past = path.past().iter();
        let nodes: Vec<f64> = [step.sigma]
            .into_iter()
            .chain(past.map(|p| p.sigma))
            .collect();
        let weights = integrals(&nodes, step.sigma, step.sigma_next);
        let mut x = (&step.x + (&found.slope * weights[0])?)?;
        for (past, weight) in path.past().iter().zip(&weights[1..]) {
            x = (x + (&past.evaluation.slope * *weight)?)?;
        }
        path.remember(step.sigma, found);
        Ok(x)
    }
}

/// The integral from `a` to `b` of the polynomial that is 1 at one of the `nodes`, at most three, and 0 at the others.
fn integrals(nodes: &[f64], a: f64, b: f64) -> Vec<f64> {
    let polynomial = |j: usize, at: f64| {
        let others = nodes.iter().enumerate().filter(|(k, _)| *k != j);
        let factor = |(_, node): (usize, &f64)| (at - node) / (nodes[j] - node);
        others.map(factor).product::<f64>()
    };
    // Two points of Gauss are exact up to cubes.
    let (middle, half) = (0.5 * (a + b), 0.5 * (b - a));
    let away = half / 3f64.sqrt();
    let integral = |j| half * (polynomial(j, middle - away) + polynomial(j, middle + away));
    (0..nodes.len()).map(integral).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deis_keeps_what_it_declares() {
        for order in 1..=3 {
            crate::conformance::holds(&Deis { order });
        }
    }

    #[test]
    fn even_steps_have_the_weights_of_adams_and_bashforth() {
        let got = integrals(&[3.0, 4.0, 5.0], 3.0, 2.0);
        for (got, want) in got.iter().zip([-23.0 / 12.0, 16.0 / 12.0, -5.0 / 12.0]) {
            assert!((got - want).abs() < 1e-14, "got {got}, want {want}");
        }
    }
}
