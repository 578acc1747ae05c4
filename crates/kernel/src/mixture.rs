//! Draws of chi-square variates and of the mixture scale, safe at every number of degrees of freedom.

use rand::Rng;
use rand_distr::{Distribution, Gamma, Open01};

use crate::Dimension;

/// Bounds of the mixture scale: it and its square stay normal numbers.
pub(crate) const SMALLEST: f64 = 1e-150;
pub(crate) const LARGEST: f64 = 1e150;

/// The law of `chi²_k`, drawn as its logarithm where the variate itself would underflow.
#[derive(Clone, Debug)]
pub(crate) struct ChiSquare {
    /// The gamma law of shape k/2, or of k/2 + 1 where `boost` lowers it by one.
    gamma: Gamma<f64>,
    /// The shape k/2 where it is below 1.
    boost: Option<f64>,
}

impl ChiSquare {
    /// The law with `k` degrees of freedom, `k` positive and finite.
    pub(crate) fn new(k: f64) -> Self {
        let shape = k / 2.0;
        let boost = (shape < 1.0).then_some(shape);
        let shape = boost.map_or(shape, |small| small + 1.0);
        let gamma = Gamma::new(shape, 1.0).expect("the shape is positive: k is");
        Self { gamma, boost }
    }

    /// Draws `ln(chi²_k / 2)`, the logarithm of a gamma variate of shape a = k/2.
    ///
    /// ```text
    /// ln G(a) = ln G(a+1) + ln(U) / a     for a < 1
    /// ```
    ///
    /// At a = 0.001 every second variate underflows, at any a no logarithm does (the identity:
    /// Marsaglia and Tsang 2000, "A simple method for generating gamma variables", section 6).
    pub(crate) fn draw_ln_half<R: Rng + ?Sized>(&self, rng: &mut R) -> f64 {
        let ln_gamma = self.gamma.sample(rng).ln();
        match self.boost {
            None => ln_gamma,
            Some(shape) => {
                let u: f64 = Open01.sample(rng);
                ln_gamma + u.ln() / shape
            }
        }
    }
}

/// The law of sqrt(w), `w = D / chi²_D`.
#[derive(Clone, Debug)]
pub(crate) struct MixtureScale {
    /// `None` at D = ∞, where w is 1.
    law: Option<(f64, ChiSquare)>,
}

impl MixtureScale {
    pub(crate) fn new(d: Dimension) -> Self {
        let law = match d {
            Dimension::Infinite => None,
            Dimension::Finite(d) => {
                // Half of the smallest subnormal number is zero, which has no logarithm.
                let d = d.max(f64::MIN_POSITIVE);
                Some(((d / 2.0).ln(), ChiSquare::new(d)))
            }
        };
        Self { law }
    }

    /// Draws sqrt(w), within [1e-150, 1e150].
    pub(crate) fn draw<R: Rng + ?Sized>(&self, rng: &mut R) -> f64 {
        match &self.law {
            None => 1.0,
            Some((ln_half_d, chi_square)) => {
                let ln_w = ln_half_d - chi_square.draw_ln_half(rng);
                (0.5 * ln_w).exp().clamp(SMALLEST, LARGEST)
            }
        }
    }
}
