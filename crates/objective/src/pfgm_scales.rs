//! How far original PFGM should reach for given data.

use std::f64::consts::FRAC_2_PI;

use pfgmpp_transfer::ParameterError;

/// Recommended reach of original PFGM: training exponent, start of the ODE and clip of its prior.
///
/// ```text
/// M = floor(0.75 ln(norm² / (2 sqrt(N) sigma_end²)) / ln(1+tau)) + 1
/// z_max = sqrt(2/π) sigma_end (1+tau)^M,   upper_norm = sqrt(N) sigma_end (1+tau)^M
/// ```
///
/// z_max and upper_norm are the expected `z` and `|x - y|` of the perturbation at m = M. Source: Xu et al.
/// 2022, arXiv:2209.11178, appendix B.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PfgmScales {
    /// Upper end M of the exponent m of the perturbation.
    pub max_m: f64,
    /// z where sampling starts, in units of the data.
    pub z_max: f64,
    /// Upper clip of the prior's radius, in units of the data.
    pub upper_norm: f64,
}

impl PfgmScales {
    /// The scales for data of `n` values a sample and mean norm `norm = E|y|`.
    ///
    /// # Errors
    ///
    /// `n = 0`, a `norm`, `tau` or `sigma_end` that is not positive, and a norm so small beside
    /// `sigma_end` that M would not be positive.
    pub fn recommended(
        n: usize,
        norm: f64,
        tau: f64,
        sigma_end: f64,
    ) -> Result<Self, ParameterError> {
        if n == 0 {
            return Err(ParameterError::new("n", n, "at least 1"));
        }
        ParameterError::positive("norm", norm)?;
        ParameterError::positive("tau", tau)?;
        ParameterError::positive("sigma_end", sigma_end)?;
        let sqrt_n = (n as f64).sqrt();
        let ln_ratio = 2.0 * (norm / sigma_end).ln() - (2.0 * sqrt_n).ln();
        let max_m = (0.75 * ln_ratio / tau.ln_1p()).floor() + 1.0;
        if max_m < 1.0 {
            let least = sigma_end * (2.0 * sqrt_n).sqrt();
            let accepted = format!("at least sigma_end sqrt(2 sqrt(n)) = {least}");
            return Err(ParameterError::new("norm", norm, accepted));
        }
        let reach = sigma_end * (max_m * tau.ln_1p()).exp();
        Ok(Self {
            max_m,
            z_max: FRAC_2_PI.sqrt() * reach,
            upper_norm: sqrt_n * reach,
        })
    }
}
