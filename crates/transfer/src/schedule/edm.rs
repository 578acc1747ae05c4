//! The schedule of EDM.

use serde::{Deserialize, Serialize};

use super::{check_ends, check_num_steps};
use crate::ParameterError;

/// The EDM schedule, in `sigma` for every D.
///
/// ```text
/// sigma_i = (sigma_max^(1/rho) + i/(num_steps - 1) (sigma_min^(1/rho) - sigma_max^(1/rho)))^rho
/// ```
///
/// for `i` in `0..num_steps`, then 0. Source: Karras et al. 2022, equation 5.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdmSchedule {
    /// Number of solver steps, at least 2.
    pub num_steps: usize,
    /// Lowest noise level above zero.
    pub sigma_min: f64,
    /// Noise level of the prior.
    pub sigma_max: f64,
    /// Exponent: larger values put more steps at low noise.
    pub rho: f64,
}

impl EdmSchedule {
    /// Checks the parameters.
    ///
    /// # Errors
    ///
    /// Fewer than 2 steps, a level or exponent that is not positive, or `sigma_min >= sigma_max`.
    pub fn check(&self) -> Result<(), ParameterError> {
        check_num_steps(self.num_steps, 2)?;
        check_ends(self.sigma_min, self.sigma_max)?;
        ParameterError::within("rho", self.rho, 0.1, 1000.0)
    }

    /// The noise levels, highest first, with 0 at the end: `num_steps + 1` values.
    pub(crate) fn sigmas(&self) -> Vec<f64> {
        let root = self.rho.recip();
        let (from, to) = (self.sigma_max.powf(root), self.sigma_min.powf(root));
        let last = (self.num_steps - 1) as f64;
        (0..self.num_steps)
            .map(|i| match i {
                // The ends exactly as configured, not as the powers round them.
                0 => self.sigma_max,
                _ if i + 1 == self.num_steps => self.sigma_min,
                _ => (from + i as f64 / last * (to - from)).powf(self.rho),
            })
            .chain([0.0])
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EDM: EdmSchedule = EdmSchedule {
        num_steps: 18,
        sigma_min: 0.002,
        sigma_max: 80.0,
        rho: 7.0,
    };

    #[test]
    fn the_schedule_falls_from_sigma_max_through_sigma_min_to_zero() {
        let sigmas = EDM.sigmas();
        assert_eq!(sigmas.len(), 19);
        assert_eq!((sigmas[0], sigmas[17], sigmas[18]), (80.0, 0.002, 0.0));
        assert!(sigmas.windows(2).all(|w| w[0] > w[1]), "got {sigmas:?}");
    }

    #[test]
    fn the_steps_are_even_in_the_rho_th_root() {
        let roots: Vec<f64> = EDM.sigmas()[..18]
            .iter()
            .map(|s| s.powf(1.0 / 7.0))
            .collect();
        let step = roots[1] - roots[0];
        for w in roots.windows(2) {
            let got = w[1] - w[0];
            assert!((got - step).abs() < 1e-12, "got step {got}, want {step}");
        }
    }

    #[test]
    fn crossed_ends_are_refused_by_name() {
        let crossed = EdmSchedule {
            sigma_min: 100.0,
            ..EDM
        };
        let got = crossed.check().unwrap_err().to_string();
        assert_eq!(got, "sigma_min must be below sigma_max = 80, got 100");
    }
}
