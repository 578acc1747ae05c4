//! The schedule of rectified flows.

use serde::{Deserialize, Serialize};

use super::{check_ends, check_num_steps};
use crate::ParameterError;

/// Noise levels that are even in the time t of a rectified flow, then 0.
///
/// ```text
/// x_t = (1 - t) y + t n = x / (1 + sigma),   sigma = shift t / (1 - t)
/// ```
///
/// for `num_steps` times from that of `sigma_max` to that of `sigma_min`. A `shift` above 1 puts more steps at high
/// noise, as large images want: it is `t' = shift t / (1 + (shift - 1) t)`. Source: Liu et al. 2022, arXiv:2209.03003;
/// Esser et al. 2024, arXiv:2403.03206, section 5.3.2.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowSchedule {
    /// Number of solver steps, at least 2.
    pub num_steps: usize,
    /// Lowest noise level above zero.
    pub sigma_min: f64,
    /// Noise level of the prior.
    pub sigma_max: f64,
    /// How much the steps lean towards high noise; 1 for even times.
    pub shift: f64,
}

impl FlowSchedule {
    /// Checks the parameters.
    ///
    /// # Errors
    ///
    /// Fewer than 2 steps, a level or a shift that is not positive, or `sigma_min >= sigma_max`.
    pub fn check(&self) -> Result<(), ParameterError> {
        check_num_steps(self.num_steps, 2)?;
        check_ends(self.sigma_min, self.sigma_max)?;
        ParameterError::within("shift", self.shift, 1e-3, 1e3)
    }

    /// The noise levels, highest first, with 0 at the end: `num_steps + 1` values.
    pub(crate) fn sigmas(&self) -> Vec<f64> {
        let time = |sigma: f64| sigma / (self.shift + sigma);
        let (from, to) = (time(self.sigma_max), time(self.sigma_min));
        let last = self.num_steps as f64 - 1.0;
        (0..self.num_steps)
            .map(|i| match i {
                // The ends exactly as configured.
                0 => self.sigma_max,
                _ if i + 1 == self.num_steps => self.sigma_min,
                _ => {
                    let t = from + i as f64 / last * (to - from);
                    self.shift * t / (1.0 - t)
                }
            })
            .chain([0.0])
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_are_even_and_shifted() {
        for shift in [1.0, 3.0] {
            let flow = FlowSchedule {
                num_steps: 10,
                sigma_min: 0.01,
                sigma_max: 99.0,
                shift,
            };
            flow.check().unwrap();
            let shifted = flow.sigmas()[..10].iter().map(|s| s / (1.0 + s)).collect();
            let times: Vec<f64> = shifted;
            // Back from the shifted time to the even one.
            let even: Vec<f64> = times
                .iter()
                .map(|t| t / (shift - (shift - 1.0) * t))
                .collect();
            for pair in even.windows(2) {
                let (got, want) = (pair[0] - pair[1], even[0] - even[1]);
                assert!(
                    (got - want).abs() < 1e-12,
                    "shift {shift}: got {got}, want {want}"
                );
            }
        }
    }
}
