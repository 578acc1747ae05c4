//! What a model's derivative says of the spread of the data behind a sample.

use candle_core::{Result, Tensor};
use pfgmpp_kernel::{Denoiser, Dimension, Pullback, Query, column, squared_norms};
use serde::{Deserialize, Serialize};

/// What stands for `S = Cov(y | x)`, from `m = E[y|x]` and its derivatives.
///
/// At D = ∞, `Cov(y | x) = sigma² J`, `J = dm/dx` (Tweedie's second order), and all three are one. At finite D the noise of
/// a sample has a scale s of its own, and x tells it: a step away from m raises it. With
///
/// ```text
/// p(y) = E[1/s² | x, y] = (N + D) / (|x - y|² + D sigma²)
/// J  = E[p (y - m) (y - x)^T | x]                                      not symmetric, negative along x - m where N > D
/// J - (dm/dsigma) (x - m)^T / (D sigma) = E[p (y - m) (y - m)^T | x]    symmetric, never negative
/// ```
///
/// both of them exact for the exact posterior. 1/p at y = m is `sigma_eff² = (|x - m|² + D sigma²) / (N + D)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Covariance {
    /// `sigma_eff² (J - (dm/dsigma) (x - m)^T / (D sigma))`: the derivative at the noise level that the sample shows.
    Effective,
    /// `sigma_eff² J`: the scale corrected, the derivative not.
    Scaled,
    /// `sigma² J`, whatever D: as for diffusion.
    Nominal,
}

impl Covariance {
    /// S at the samples of a query, of which a model has the estimate `m`.
    pub(super) fn at<'a, M: Denoiser>(
        self,
        model: &'a M,
        d: Dimension,
        query: Query<'a>,
        m: &Tensor,
    ) -> Result<Spread<'a, M>> {
        let scales = self.scales(d, &query, m)?;
        let away = match (self, d) {
            (Self::Effective, Dimension::Finite(d)) => Some((d, (query.x - m)?)),
            _ => None,
        };
        Ok(Spread {
            model,
            query,
            scales,
            away,
        })
    }

    /// What multiplies the derivative of each sample.
    pub(super) fn scales(self, d: Dimension, query: &Query, m: &Tensor) -> Result<Vec<f64>> {
        let nominal = query.sigma.iter().map(|s| s * s);
        let (Self::Effective | Self::Scaled, Dimension::Finite(d)) = (self, d) else {
            return Ok(nominal.collect());
        };
        let n = (query.x.elem_count() / query.sigma.len().max(1)) as f64;
        // In shares, so that a large D overflows nothing.
        let (seen, told) = (1.0 / (n + d), d / (n + d));
        let distances = squared_norms(&(query.x - m)?)?.into_iter();
        Ok(distances
            .zip(nominal)
            .map(|(r2, s2)| seen * r2 + told * s2)
            .collect())
    }
}

/// The covariance of the data behind some samples, to be multiplied with.
pub(super) struct Spread<'a, M> {
    model: &'a M,
    query: Query<'a>,
    scales: Vec<f64>,
    /// D and `x - m`, where the derivative is to be taken at the level that the sample shows.
    away: Option<(f64, Tensor)>,
}

impl<M: Denoiser> Spread<'_, M> {
    /// `S v` of each sample, `v` shaped as x; `S^T v` where S is not symmetric.
    pub fn times(&self, v: &Tensor) -> Result<Tensor> {
        let Pullback { x, sigma, .. } = self.model.pullback(&self.query, v)?;
        let moved = match &self.away {
            None => x,
            Some((d, away)) => {
                let share = sigma.iter().zip(self.query.sigma);
                let share: Vec<f64> = share.map(|(by_sigma, s)| by_sigma / (d * s)).collect();
                (x - away.broadcast_mul(&column(&share, away)?)?)?
            }
        };
        moved.broadcast_mul(&column(&self.scales, &moved)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use pfgmpp_kernel::ExactPosterior;

    const POINTS: [[f64; 3]; 5] = [
        [1.0, 0.2, -0.3],
        [0.1, -0.9, 0.4],
        [-0.7, 0.5, 0.8],
        [0.3, 0.6, -1.1],
        [-0.2, -0.4, 0.5],
    ];

    #[test]
    fn scales_are_one_at_infinite_d_and_follow_the_sample_at_finite_d() {
        let x = Tensor::new(&[[3.0f64, 5.0]], &Device::Cpu).unwrap();
        let m = Tensor::new(&[[0.0f64, 1.0]], &Device::Cpu).unwrap();
        let query = Query::new(&x, &[2.0]);
        let scale = |covariance: Covariance, d| covariance.scales(d, &query, &m).unwrap()[0];
        let d = Dimension::Finite(8.0);
        assert_eq!(scale(Covariance::Nominal, d), 4.0);
        // (3² + 4² + 8 · 2²) / (2 + 8).
        for covariance in [Covariance::Effective, Covariance::Scaled] {
            let got = scale(covariance, d);
            assert!((got - 5.7).abs() < 1e-12, "got {got}, want 5.7");
            assert_eq!(scale(covariance, Dimension::Infinite), 4.0);
        }
    }

    /// `E[p (y - m) (y - m)^T | x]` by its definition, row by row.
    fn by_definition(x: [f64; 3], sigma: f64, d: f64) -> ([f64; 3], [[f64; 3]; 3]) {
        let square = |y: &[f64; 3]| -> f64 { (0..3).map(|i| (x[i] - y[i]).powi(2)).sum() };
        let weights =
            POINTS.map(|y| (1.0 + square(&y) / (d * sigma * sigma)).powf(-(3.0 + d) / 2.0));
        let total: f64 = weights.iter().sum();
        let mut m = [0.0; 3];
        for (w, y) in weights.iter().zip(&POINTS) {
            (0..3).for_each(|i| m[i] += w / total * y[i]);
        }
        let mut matrix = [[0.0; 3]; 3];
        for (w, y) in weights.iter().zip(&POINTS) {
            let p = (3.0 + d) / (square(y) + d * sigma * sigma);
            for (i, row) in matrix.iter_mut().enumerate() {
                (0..3).for_each(|j| row[j] += w / total * p * (y[i] - m[i]) * (y[j] - m[j]));
            }
        }
        (m, matrix)
    }

    #[test]
    fn the_derivative_at_the_shown_level_is_the_weighted_covariance_of_the_exact_posterior() {
        let data = Tensor::new(&POINTS, &Device::Cpu).unwrap();
        for d in [0.5, 1.0, 8.0] {
            for (x, sigma) in [([0.4, 0.1, 0.0], 0.5), ([9.0, -4.0, 2.0], 3.0)] {
                let dimension = Dimension::Finite(d);
                let model = ExactPosterior::new(&data, dimension).unwrap();
                let at = Tensor::new(&[x], &Device::Cpu).unwrap();
                let (m, want) = by_definition(x, sigma, d);
                let square: f64 = (0..3).map(|i| (x[i] - m[i]).powi(2)).sum();
                let scale = (square + d * sigma * sigma) / (3.0 + d);
                let m = Tensor::new(&[m], &Device::Cpu).unwrap();
                let level = [sigma];
                let query = Query::new(&at, &level);
                let spread = Covariance::Effective
                    .at(&model, dimension, query, &m)
                    .unwrap();
                for (i, want) in want.iter().enumerate() {
                    let mut v = [[0.0; 3]];
                    v[0][i] = 1.0;
                    let v = Tensor::new(&v, &Device::Cpu).unwrap();
                    let got = spread.times(&v).unwrap().to_vec2::<f64>().unwrap();
                    for (got, want) in got[0].iter().zip(want) {
                        let want = want * scale;
                        let error = (got - want).abs();
                        assert!(error < 1e-12, "D {d}, row {i}: got {got}, want {want}");
                    }
                }
            }
        }
    }
}
