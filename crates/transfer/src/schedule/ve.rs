//! The schedule of the variance-exploding process.

use serde::{Deserialize, Serialize};

use super::{check_ends, check_num_steps};
use crate::ParameterError;

/// Noise levels that are even in `ln sigma`, then 0.
///
/// ```text
/// sigma_i = sigma_max (sigma_min / sigma_max)^(i / (num_steps - 1))
/// ```
///
/// for `i` in `0..num_steps`, then 0. Published: from 100 to 0.02. Source: Karras et al. 2022, table 1, VE.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VeSchedule {
    /// Number of solver steps, at least 2.
    pub num_steps: usize,
    /// Lowest noise level above zero.
    pub sigma_min: f64,
    /// Noise level of the prior.
    pub sigma_max: f64,
}

impl VeSchedule {
    /// Checks the parameters.
    ///
    /// # Errors
    ///
    /// Fewer than 2 steps, a level that is not positive, or `sigma_min >= sigma_max`.
    pub fn check(&self) -> Result<(), ParameterError> {
        check_num_steps(self.num_steps, 2)?;
        check_ends(self.sigma_min, self.sigma_max)
    }

    /// The noise levels, highest first, with 0 at the end: `num_steps + 1` values.
    pub(crate) fn sigmas(&self) -> Vec<f64> {
        let (ratio, last) = (self.sigma_min / self.sigma_max, (self.num_steps - 1) as f64);
        (0..self.num_steps)
            .map(|i| match i {
                // Exactly the end, not as the power rounds it.
                _ if i + 1 == self.num_steps => self.sigma_min,
                _ => self.sigma_max * ratio.powf(i as f64 / last),
            })
            .chain([0.0])
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_levels_fall_by_one_ratio_and_end_at_zero() {
        let schedule = VeSchedule {
            num_steps: 11,
            sigma_min: 0.02,
            sigma_max: 100.0,
        };
        let sigmas = schedule.sigmas();
        assert_eq!((sigmas[0], sigmas[10], sigmas[11]), (100.0, 0.02, 0.0));
        let want = 2e-4_f64.powf(0.1);
        for w in sigmas[..11].windows(2) {
            let got = w[1] / w[0];
            assert!((got - want).abs() < 1e-13, "got ratio {got}, want {want}");
        }
    }
}
