//! Many small linear systems at once, by products with their matrices alone.

use candle_core::{Result, Tensor};
use pfgmpp_kernel::{column, inner_products};
use pfgmpp_transfer::ParameterError;
use serde::{Deserialize, Serialize};

/// A squared residual of so many times the right-hand side's means that the iteration diverges.
const TOO_FAR: f64 = 100.0;

/// When conjugate gradients end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConjugateGradients {
    /// Products with the matrix at most.
    pub max_iterations: usize,
    /// A sample is done when its residual is this share of the right-hand side.
    pub tolerance: f64,
}

impl ConjugateGradients {
    /// Checks the parameters.
    ///
    /// # Errors
    ///
    /// No iteration or more than 10,000, a tolerance outside 0 to 1.
    pub fn check(&self) -> std::result::Result<(), ParameterError> {
        ParameterError::counted("max_iterations", self.max_iterations as u64, 1, 10_000)?;
        ParameterError::within("tolerance", self.tolerance, 0.0, 1.0)
    }

    /// Solves `(M M' + shift) u = b` for each sample of the batch `b` `[B, ...]`, and returns `M' u`.
    ///
    /// - `product`: takes p to `(M' p, M M' p)`, where `M M'` need be symmetric only nearly: that of a learned model is not
    ///   quite.
    ///
    /// Step sizes and ends are those of each sample, so that none depends on its batch. A sample ends, too, before a step
    /// along which the matrix is not positive or after which the residual would be [`TOO_FAR`]: only with a matrix
    /// that is far from symmetric can either be.
    pub(super) fn solve(
        &self,
        b: &Tensor,
        shift: f64,
        mut product: impl FnMut(&Tensor) -> Result<(Tensor, Tensor)>,
    ) -> Result<Option<Tensor>> {
        let (mut r, mut p) = (b.clone(), b.clone());
        let mut rr = inner_products(b, b)?;
        let too_far: Vec<f64> = rr.iter().map(|rr| rr * TOO_FAR).collect();
        let ends: Vec<f64> = rr.iter().map(|rr| rr * self.tolerance.powi(2)).collect();
        let mut open: Vec<bool> = rr.iter().map(|rr| *rr > 0.0).collect();
        let mut solution: Option<Tensor> = None;
        for _ in 0..self.max_iterations {
            if !open.contains(&true) {
                break;
            }
            let (moved, taken) = product(&p)?;
            let taken = (taken + (&p * shift)?)?;
            let curvature = inner_products(&p, &taken)?;
            let (along, square) = (inner_products(&r, &taken)?, inner_products(&taken, &taken)?);
            let alpha: Vec<f64> = (0..rr.len())
                .map(|i| {
                    let alpha = rr[i] / curvature[i];
                    let next = rr[i] - 2.0 * alpha * along[i] + alpha * alpha * square[i];
                    open[i] = open[i] && curvature[i] > 0.0 && next <= too_far[i];
                    if open[i] { alpha } else { 0.0 }
                })
                .collect();
            let step = moved.broadcast_mul(&column(&alpha, &moved)?)?;
            solution = Some(match solution {
                None => step,
                Some(before) => (before + step)?,
            });
            r = (r - taken.broadcast_mul(&column(&alpha, &taken)?)?)?;
            let next = inner_products(&r, &r)?;
            let beta: Vec<f64> = (0..rr.len())
                .map(|i| {
                    let beta = next[i] / rr[i];
                    open[i] = open[i] && next[i] > ends[i];
                    if open[i] { beta } else { 0.0 }
                })
                .collect();
            rr = next;
            p = (&r + p.broadcast_mul(&column(&beta, &p)?)?)?;
        }
        Ok(solution)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    /// `M M' = Q`, `M' = I` in one dimension more than it takes to see it: a symmetric positive matrix of each sample.
    fn matrix(k: usize) -> Tensor {
        let values: Vec<f64> = (0..25)
            .map(|i| {
                let (row, col) = (i / 5, i % 5);
                let off = 1.0 / (1.0 + (row as f64 - col as f64).abs() * (k + 1) as f64);
                off + if row == col { k as f64 + 0.5 } else { 0.0 }
            })
            .collect();
        Tensor::from_vec(values, (5, 5), &Device::Cpu).unwrap()
    }

    fn solve(samples: &[usize], b: &Tensor, config: ConjugateGradients) -> Vec<Vec<f64>> {
        let product = |p: &Tensor| {
            let rows: Vec<Tensor> = samples
                .iter()
                .enumerate()
                .map(|(i, &k)| p.narrow(0, i, 1)?.matmul(&matrix(k)))
                .collect::<Result<_>>()?;
            Ok((p.clone(), Tensor::cat(&rows, 0)?))
        };
        let solved = config.solve(b, 0.1, product).unwrap().unwrap();
        solved.to_vec2().unwrap()
    }

    fn right_hand_sides() -> Tensor {
        let b: Vec<f64> = (0..15).map(|i| (f64::from(i) * 1.7).sin()).collect();
        Tensor::from_vec(b, (3, 5), &Device::Cpu).unwrap()
    }

    #[test]
    fn as_many_iterations_as_unknowns_solve_each_system() {
        let b = right_hand_sides();
        let config = ConjugateGradients {
            max_iterations: 5,
            tolerance: 0.0,
        };
        let u = solve(&[0, 1, 2], &b, config);
        for (k, (u, b)) in u.iter().zip(b.to_vec2::<f64>().unwrap()).enumerate() {
            let u = Tensor::new(&u[..], &Device::Cpu)
                .unwrap()
                .reshape((1, 5))
                .unwrap();
            let taken = (u.matmul(&matrix(k)).unwrap() + (&u * 0.1).unwrap()).unwrap();
            let got = taken.flatten_all().unwrap().to_vec1::<f64>().unwrap();
            for (got, want) in got.iter().zip(b) {
                assert!(
                    (got - want).abs() < 1e-12,
                    "system {k}: got {got}, want {want}"
                );
            }
        }
    }

    #[test]
    fn a_sample_does_not_depend_on_its_batch() {
        let b = right_hand_sides();
        let config = ConjugateGradients {
            max_iterations: 4,
            tolerance: 0.05,
        };
        let together = solve(&[0, 1, 2], &b, config);
        for (k, together) in together.iter().enumerate() {
            let alone = solve(&[k], &b.narrow(0, k, 1).unwrap(), config);
            assert_eq!(&alone[0], together, "sample {k}");
        }
    }

    #[test]
    fn nothing_to_solve_takes_no_product() {
        let b = Tensor::zeros((2, 3), candle_core::DType::F64, &Device::Cpu).unwrap();
        let config = ConjugateGradients {
            max_iterations: 4,
            tolerance: 0.0,
        };
        let solved = config.solve(&b, 1.0, |_| unreachable!("b is 0")).unwrap();
        assert!(solved.is_none());
    }
}
