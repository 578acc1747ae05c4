//! The density of the perturbation kernel.

use std::f64::consts::TAU;

use crate::ln_gamma::ln_gamma_ratio_scaled;
use crate::{Dimension, Kernel};

impl Kernel {
    /// `ln p_r(x|y)` at `distance = |x - y|`, normalised over R^N.
    ///
    /// ```text
    /// ln p = lnΓ((N+D)/2) - lnΓ(D/2) - N/2 ln(π D sigma²) - (N+D)/2 ln(1 + R²/(D sigma²))
    /// ln p = -N/2 ln(2π sigma²) - R²/(2 sigma²)                                at D = ∞
    /// ```
    ///
    /// `sigma` is positive and finite, `distance` finite and not negative, both in units of the data;
    /// a density beyond the range of f64 gives `-∞`, other arguments NaN.
    #[must_use]
    pub fn ln_density(&self, sigma: f64, distance: f64) -> f64 {
        if !(sigma > 0.0 && sigma.is_finite() && distance >= 0.0 && distance.is_finite()) {
            return f64::NAN;
        }
        let n = self.n() as f64;
        let gaussian_peak = -0.5 * n * (TAU.ln() + 2.0 * sigma.ln());
        let u = distance / sigma;
        match self.d() {
            Dimension::Infinite => gaussian_peak - 0.5 * u * u,
            Dimension::Finite(d) => {
                let peak = gaussian_peak + ln_gamma_ratio_scaled(d / 2.0, n / 2.0);
                peak - 0.5 * (n + d) * ln_1p_square(u, d, distance.ln() - sigma.ln())
            }
        }
    }
}

/// `ln(1 + u²/d)`, also where the square or the quotient is beyond f64.
fn ln_1p_square(u: f64, d: f64, ln_u: f64) -> f64 {
    let ratio = u * u / d;
    if ratio.is_finite() {
        ratio.ln_1p()
    } else {
        2.0 * ln_u - d.ln()
    }
}
