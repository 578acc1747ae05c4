//! The schedule of the original PFGM.

use serde::{Deserialize, Serialize};

use super::{check_ends, check_num_steps};
use crate::ParameterError;

/// Noise levels that are even in `ln sigma`, down to `sigma_min` and no further.
///
/// ```text
/// sigma_i = sigma_max (sigma_min / sigma_max)^(i / num_steps),   i in 0..=num_steps
/// ```
///
/// At D = 1, where `z = r = sigma`, these are the levels of the original PFGM, whose fixed-step
/// solvers are even in `ln z` and exact in z within a step, that is Euler and Heun in sigma.
/// Source: Xu et al. 2022, arXiv:2209.11178, section 3.3.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeometricSchedule {
    /// Number of solver steps, at least 1.
    pub num_steps: usize,
    /// Noise level at which sampling ends.
    pub sigma_min: f64,
    /// Noise level of the prior.
    pub sigma_max: f64,
}

impl GeometricSchedule {
    /// Checks the parameters.
    ///
    /// # Errors
    ///
    /// No step, a level that is not positive, or `sigma_min >= sigma_max`.
    pub fn check(&self) -> Result<(), ParameterError> {
        check_num_steps(self.num_steps, 1)?;
        check_ends(self.sigma_min, self.sigma_max)
    }

    /// The noise levels, highest first: `num_steps + 1` values.
    pub(crate) fn sigmas(&self) -> Vec<f64> {
        let (from, to) = (self.sigma_max.ln(), self.sigma_min.ln());
        let last = self.num_steps as f64;
        (0..=self.num_steps)
            .map(|i| match i {
                // The ends exactly as configured, not as the logarithms round them.
                0 => self.sigma_max,
                _ if i == self.num_steps => self.sigma_min,
                _ => (from + i as f64 / last * (to - from)).exp(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PFGM: GeometricSchedule = GeometricSchedule {
        num_steps: 100,
        sigma_min: 1e-3,
        sigma_max: 40.0,
    };

    #[test]
    fn the_levels_fall_by_one_ratio_from_sigma_max_to_sigma_min() {
        let sigmas = PFGM.sigmas();
        assert_eq!(sigmas.len(), 101);
        assert_eq!((sigmas[0], sigmas[100]), (40.0, 1e-3));
        let want = (1e-3_f64 / 40.0).powf(0.01);
        for w in sigmas.windows(2) {
            let got = w[1] / w[0];
            assert!((got - want).abs() < 1e-13, "got ratio {got}, want {want}");
        }
    }

    #[test]
    fn a_single_step_is_accepted_and_none_is_not() {
        let of = |num_steps| GeometricSchedule { num_steps, ..PFGM };
        assert_eq!(of(1).check(), Ok(()));
        assert_eq!(of(1).sigmas(), [40.0, 1e-3]);
        let got = of(0).check().unwrap_err().to_string();
        assert_eq!(got, "num_steps must be from 1 to 1000000, got 0");
    }
}
