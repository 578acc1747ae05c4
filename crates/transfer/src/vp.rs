//! The noise levels of the variance-preserving process.

use crate::{ParameterError, Real};

/// The variance-preserving process behind DDPM, as noise levels over time.
///
/// ```text
/// sigma(t)² = exp(beta_d t²/2 + beta_min t) - 1,   t in [0, 1]
/// ```
///
/// Published: beta_d 19.9, beta_min 0.1. Source: Song et al. 2021, arXiv:2011.13456, appendix C, in the
/// form of Karras et al. 2022, table 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VpProcess {
    /// Rise of the rate of noising.
    pub beta_d: f64,
    /// Rate of noising at the start.
    pub beta_min: f64,
}

impl VpProcess {
    /// Checks both rates.
    ///
    /// # Errors
    ///
    /// A `beta_d` outside 1e-6 to 100, a `beta_min` outside 1e-6 to 20.
    pub fn check(&self) -> Result<(), ParameterError> {
        // The highest level, exp(beta_d/4 + beta_min/2), stays in the range of f32.
        ParameterError::within("beta_d", self.beta_d, 1e-6, 100.0)?;
        ParameterError::within("beta_min", self.beta_min, 1e-6, 20.0)
    }

    /// The noise level at time `t`.
    #[must_use]
    pub fn sigma(&self, t: f64) -> f64 {
        (t * (0.5 * self.beta_d * t + self.beta_min))
            .exp_m1()
            .sqrt()
    }

    /// The time of noise level `sigma`, the inverse of [`Self::sigma`]; above 1 past the end of the process.
    ///
    /// ```text
    /// t = (sqrt(beta_min² + 2 beta_d ln(1 + sigma²)) - beta_min) / beta_d
    /// ```
    #[must_use]
    pub fn t(&self, sigma: f64) -> f64 {
        self.t_of(sigma)
    }

    /// As [`Self::t`], with derivatives where `sigma` carries them.
    pub(crate) fn t_of<R: Real>(&self, sigma: R) -> R {
        let ln = if sigma.value() < 1.0 {
            sigma.powi(2).ln_1p()
        } else {
            // hypot: the square of a level past the end may leave f64.
            sigma.hypot(R::from(1.0)).ln() * 2.0
        };
        // The same with the root in the denominator, where nothing cancels at low noise.
        let root = (ln * (2.0 * self.beta_d) + self.beta_min.powi(2)).sqrt();
        ln * 2.0 / (root + self.beta_min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLISHED: VpProcess = VpProcess {
        beta_d: 19.9,
        beta_min: 0.1,
    };

    #[test]
    fn the_process_ends_where_it_is_known_to() {
        // exp(19.9 / 2 + 0.1) - 1 = exp(10.05) - 1
        for (t, want) in [(1.0, (10.05_f64.exp() - 1.0).sqrt()), (0.0, 0.0)] {
            let got = PUBLISHED.sigma(t);
            assert!(
                (got - want).abs() <= 1e-12 * want,
                "t {t}: got {got}, want {want}"
            );
        }
    }

    #[test]
    fn time_is_the_inverse_of_the_level() {
        for t in [1e-12, 1e-5, 1e-3, 0.1, 0.5, 1.0, 1.5] {
            let got = PUBLISHED.t(PUBLISHED.sigma(t));
            assert!((got / t - 1.0).abs() < 1e-12, "got {got}, want {t}");
        }
        assert!(PUBLISHED.t(1e300).is_finite());
    }
}
