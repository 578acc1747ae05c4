//! The noise level that a perturbed sample really carries.
//!
//! At finite D the noise of a sample is Gaussian of scale `s = sigma sqrt(w)`, `w = D / chi²_D`. Its
//! law is `p(ln s) ∝ s^-D exp(-D sigma² / 2s²)`; seeing `|x|` narrows it. With centred data of
//! second moment `m2` in `n_eff` effective dimensions,
//!
//! ```text
//! ln p(ln s | x) = -D ln s - D sigma²/(2 s²) - (n_eff/2) ln(m2 + s²)
//!                  - (n_eff/N) |x|² / (2 (m2 + s²)) + const
//! sigma_eff = exp E[ln s | x]
//! ```

use pfgmpp_kernel::Dimension;
use serde::{Deserialize, Serialize};

use crate::ParameterError;

/// Points of one quadrature grid. The trapezoid rule converges exponentially on a bell, and the last
/// grid spans at most 30 of its widths.
const GRID: usize = 64;
/// The grid keeps what lies within this many natural logarithms of the maximum.
const DEPTH: f64 = 25.0;

/// Two numbers measured from the data that say how much `|x|` tells about the noise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataScale {
    /// `E|y|² / N`.
    pub second_moment: f64,
    /// `2 E[|y|²]² / Var(|y|²)`: the dimension of a Gaussian whose `|y|²` spreads as the data's does.
    pub n_eff: f64,
}

impl DataScale {
    /// Checks both numbers.
    ///
    /// # Errors
    ///
    /// Either is not a positive number.
    pub fn check(&self) -> Result<(), ParameterError> {
        ParameterError::positive("second_moment", self.second_moment)?;
        ParameterError::positive("n_eff", self.n_eff)
    }
}

/// The posterior of a sample's noise scale given its norm, for one N, D and data set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PosteriorNoise {
    n: f64,
    d: Dimension,
    data: DataScale,
}

impl PosteriorNoise {
    /// The posterior for data of `n` dimensions perturbed at dimension `d`.
    pub fn new(n: usize, d: Dimension, data: DataScale) -> Self {
        Self {
            n: n as f64,
            d,
            data,
        }
    }

    /// `sigma_eff = exp E[ln s | x]` for a sample of squared norm `x_norm_sq` at nominal `sigma > 0`.
    ///
    /// Equal to `sigma` at D = ∞. A squared norm that is infinite or not a number gives NaN.
    pub fn sigma_eff(&self, x_norm_sq: f64, sigma: f64) -> f64 {
        let Dimension::Finite(d) = self.d else {
            return sigma;
        };
        if !x_norm_sq.is_finite() {
            return f64::NAN;
        }
        let density = LogDensity {
            d,
            n_eff: self.data.n_eff,
            // In units of sigma, so that the grid variable is k = ln(s / sigma).
            m2: self.data.second_moment / sigma.powi(2),
            x2: x_norm_sq / self.n / sigma.powi(2),
        };
        sigma * density.mean().exp()
    }
}

/// `ln p(k | x)` up to a constant, `k = ln(s / sigma)`, in units of `sigma`.
struct LogDensity {
    d: f64,
    n_eff: f64,
    m2: f64,
    x2: f64,
}

impl LogDensity {
    fn at(&self, k: f64) -> f64 {
        // -D k - D/2 exp(-2k), less its value at k = 0: expm1 keeps digits when D is huge.
        let prior = -self.d * (k + 0.5 * (-2.0 * k).exp_m1());
        prior + self.ln_likelihood(self.m2 + (2.0 * k).exp())
    }

    /// `total` is the second moment of `x`, data and noise together.
    fn ln_likelihood(&self, total: f64) -> f64 {
        -0.5 * self.n_eff * (total.ln() + self.x2 / total)
    }

    /// Where the density can have mass: below, the prior falls as exp(-D/2 exp(-2k)), faster than
    /// any likelihood can make up for; above, the density falls as `s^-(D + n_eff)` once `s²`
    /// exceeds both the data's and the sample's second moment.
    fn support(&self) -> (f64, f64) {
        let largest = self.m2.max(self.x2);
        let gain = self.ln_likelihood(largest) - self.ln_likelihood(self.m2 + 1.0);
        let low = -0.5 * (2.0 * (DEPTH + gain) / self.d + 2.0).ln() - 1.0;
        let bend = 0.5 * largest.max(1.0).ln();
        (low, bend + 2.0 * DEPTH / (self.d + self.n_eff) + 1.0)
    }

    /// `E[k | x]` on a grid that closes in on the mass until it fills the grid.
    fn mean(&self) -> f64 {
        let (mut low, mut high) = self.support();
        let mut values = [0.0; GRID];
        // Each pass narrows the span by half or ends: 80 passes cover any f64.
        for _ in 0..80 {
            let step = (high - low) / (GRID - 1) as f64;
            for (i, v) in values.iter_mut().enumerate() {
                *v = self.at(low + step * i as f64);
            }
            let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let inside = |v: &f64| *v > max - DEPTH;
            let first = values.iter().position(inside).unwrap_or(0);
            let last = values.iter().rposition(inside).unwrap_or(GRID - 1);
            if 2 * (last - first) >= GRID || step <= f64::EPSILON * low.abs().max(high.abs()) {
                return weighted_mean(&values, max, low, step);
            }
            high = low + step * (last + 1).min(GRID - 1) as f64;
            low += step * first.saturating_sub(1) as f64;
        }
        0.5 * (low + high)
    }
}

fn weighted_mean(ln_weights: &[f64; GRID], max: f64, low: f64, step: f64) -> f64 {
    let (mut mass, mut first_moment) = (0.0, 0.0);
    for (i, ln_weight) in ln_weights.iter().enumerate() {
        let weight = (ln_weight - max).exp();
        mass += weight;
        first_moment += weight * (low + step * i as f64);
    }
    first_moment / mass
}
