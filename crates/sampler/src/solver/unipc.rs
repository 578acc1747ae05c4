//! UniPC: a predictor and a corrector that share evaluations.

use candle_core::{Result, Tensor};
use pfgmpp_transfer::{Levels, ParameterError};
use serde::{Deserialize, Serialize};

use super::{Solver, Step};
use crate::{Evaluation, Path};

/// The free function of UniPC, which matters where the method has a weight of 1/2 in place of the exact one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnipcVariant {
    /// `B(h) = h`.
    Bh1,
    /// `B(h) = e^h - 1`.
    Bh2,
}

/// UniPC: each step is predicted from the estimates of `order` steps and corrected by the one found at its end, which is
/// also the next step's first, so that a way takes one evaluation for each level above 0.
///
/// The corrector raises the order by one. The first step is of second order when it has been corrected, which holds the
/// whole to 3; down from high noise, where the estimates hardly change, three estimates show order 4 all the same. Source: Zhao et al. 2023, arXiv:2302.04867, in `lambda = -ln sigma` and the estimates `E[y|x]`; it holds at
/// every D because the slope does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unipc {
    /// Number of estimates of the predictor, 1 to 3.
    pub order: usize,
    /// The free function.
    pub variant: UnipcVariant,
}

impl Solver for Unipc {
    fn order(&self) -> usize {
        (self.order + 1).min(3)
    }

    fn evaluations(&self, levels: &Levels) -> Option<usize> {
        Some(levels.steps_above_zero() + 1)
    }

    fn history(&self) -> usize {
        self.order
    }

    fn check(&self) -> std::result::Result<(), ParameterError> {
        ParameterError::counted("order", self.order as u64, 1, 3)
    }

    fn step(&self, step: &Step, path: &mut Path) -> Result<Tensor> {
        let found = path.here(&step.x, step.sigma)?;
        if path.past().front().is_none_or(|p| p.sigma != step.sigma) {
            path.remember(step.sigma, found.clone());
        }
        // z = -h, and what the linear part makes of the state and of this step's estimate.
        let z = (step.sigma_next / step.sigma).ln();
        let linear = ((&step.x * z.exp())? - (&found.denoised * z.exp_m1())?)?;
        let mut nodes = Vec::new();
        let mut rises = Vec::new();
        for past in path.past().iter().skip(1).take(self.order - 1) {
            nodes.push((step.sigma / past.sigma).ln() / -z);
            rises.push((&past.evaluation.denoised - &found.denoised)?);
        }
        let predicted = self.add(&linear, z, &nodes, &rises)?;
        let next = path.evaluate(&predicted, step.sigma_next)?;
        nodes.push(1.0);
        rises.push((&next.denoised - &found.denoised)?);
        let corrected = self.add(&linear, z, &nodes, &rises)?;
        let Evaluation { slope, denoised } = next;
        path.remember(step.sigma_next, Evaluation { slope, denoised });
        Ok(corrected)
    }
}

impl Unipc {
    /// `x - B Σ rho_m rises_m / r_m`, the `rho` such that polynomials of the estimate are followed exactly.
    fn add(&self, x: &Tensor, z: f64, nodes: &[f64], rises: &[Tensor]) -> Result<Tensor> {
        let b = match self.variant {
            UnipcVariant::Bh1 => z,
            UnipcVariant::Bh2 => z.exp_m1(),
        };
        // One estimate beside this step's: 1/2 keeps the order, and is what is published.
        let rho = match nodes {
            [_] => vec![0.5],
            _ => exact(z, b, nodes),
        };
        let mut x = x.clone();
        for ((rise, node), rho) in rises.iter().zip(nodes).zip(rho) {
            x = (x - (rise * (b * rho / node))?)?;
        }
        Ok(x)
    }
}

/// Solves `Σ_m rho_m r_m^(i-1) = i! z phi_(i+1)(z) / b` for i in 1..=len, the `phi` those of exponential integrators.
fn exact(z: f64, b: f64, nodes: &[f64]) -> Vec<f64> {
    let len = nodes.len();
    let (mut phi, mut factorial) = (z.exp_m1() / z - 1.0, 1.0);
    let mut rows: Vec<Vec<f64>> = Vec::new();
    for i in 1..=len {
        let mut row: Vec<f64> = nodes.iter().map(|r| r.powi(i as i32 - 1)).collect();
        row.push(phi * factorial / b);
        rows.push(row);
        factorial *= (i + 1) as f64;
        phi = phi / z - 1.0 / factorial;
    }
    // The nodes are apart, so elimination without exchanges meets no zero: a Vandermonde matrix.
    for pivot in 0..len {
        let lead = rows[pivot].clone();
        for row in rows.iter_mut().skip(pivot + 1) {
            let factor = row[pivot] / lead[pivot];
            for (value, above) in row.iter_mut().zip(&lead) {
                *value -= factor * above;
            }
        }
    }
    let mut rho = vec![0.0; len];
    for i in (0..len).rev() {
        let known: f64 = (i + 1..len).map(|j| rows[i][j] * rho[j]).sum();
        rho[i] = (rows[i][len] - known) / rows[i][i];
    }
    rho
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unipc_keeps_what_it_declares() {
        for variant in [UnipcVariant::Bh1, UnipcVariant::Bh2] {
            for order in 1..=3 {
                crate::conformance::holds(&Unipc { order, variant });
            }
        }
    }
}
