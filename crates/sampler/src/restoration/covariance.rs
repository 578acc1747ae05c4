//! How far the estimate's slope is scaled to be the covariance of the data behind a sample.

use candle_core::{Result, Tensor};
use pfgmpp_kernel::{Dimension, squared_norms};
use serde::{Deserialize, Serialize};

/// What `Cov(y | x) = c J`, `J = dE[y|x]/dx`, takes for c.
///
/// At D = ∞ the formula is exact (Tweedie's second order) with `c = sigma²`. At finite D the noise of a sample has a
/// scale s of its own, and
///
/// ```text
/// J = Cov(y, (y - x) p(y) | x),   p(y) = E[1/s² | x, y] = (N + D) / (|x - y|² + D sigma²)
/// ```
///
/// so that c is `1/p` at the data that x stems from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Covariance {
    /// `sigma_eff² = (|x - m|² + D sigma²) / (N + D)`, m the model's estimate.
    Effective,
    /// `sigma²`, whatever D: what systems for diffusion do.
    Nominal,
}

impl Covariance {
    /// c of each sample `x` `[B, ...]` with the estimate `m` at noise levels `sigma`.
    pub(super) fn scales(
        self,
        d: Dimension,
        x: &Tensor,
        sigma: &[f64],
        m: &Tensor,
    ) -> Result<Vec<f64>> {
        let (Self::Effective, Dimension::Finite(d)) = (self, d) else {
            return Ok(sigma.iter().map(|s| s * s).collect());
        };
        let n = (x.elem_count() / sigma.len().max(1)) as f64;
        // In shares, so that a large D overflows nothing.
        let (seen, told) = (1.0 / (n + d), d / (n + d));
        let distances = squared_norms(&(x - m)?)?;
        let each = distances.iter().zip(sigma);
        Ok(each.map(|(r2, s)| seen * r2 + told * s * s).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn both_scales_are_one_at_infinite_d_and_the_effective_one_follows_the_sample_at_finite_d() {
        let x = Tensor::new(&[[3.0f64, 5.0]], &Device::Cpu).unwrap();
        let m = Tensor::new(&[[0.0f64, 1.0]], &Device::Cpu).unwrap();
        let scale = |covariance: Covariance, d| covariance.scales(d, &x, &[2.0], &m).unwrap()[0];
        let d = Dimension::Finite(8.0);
        assert_eq!(scale(Covariance::Nominal, d), 4.0);
        // (3² + 4² + 8 · 2²) / (2 + 8).
        let got = scale(Covariance::Effective, d);
        assert!((got - 5.7).abs() < 1e-12, "got {got}, want 5.7");
        for covariance in [Covariance::Effective, Covariance::Nominal] {
            assert_eq!(scale(covariance, Dimension::Infinite), 4.0);
        }
    }
}
