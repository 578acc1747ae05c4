//! The schedule of the variance-preserving process.

use serde::{Deserialize, Serialize};

use super::check_num_steps;
use crate::{ParameterError, VpProcess};

/// Noise levels that are even in the time of the variance-preserving process.
///
/// ```text
/// sigma_i = sigma(t_i),   t_i = 1 + i/(num_steps - 1) (eps_s - 1)
/// ```
///
/// for `i` in `0..num_steps`, then 0. Published: beta_d 19.9, beta_min 0.1, eps_s 1e-3. Source: Karras et al.
/// 2022, table 1, VP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VpSchedule {
    /// Number of solver steps, at least 2.
    pub num_steps: usize,
    /// Rise of the rate of noising.
    pub beta_d: f64,
    /// Rate of noising at the start.
    pub beta_min: f64,
    /// Time of the lowest noise level above zero.
    pub eps_s: f64,
}

impl VpSchedule {
    /// Checks the parameters.
    ///
    /// # Errors
    ///
    /// Fewer than 2 steps, rates that [`VpProcess::check`] refuses, or an `eps_s` outside 1e-9 to 0.999.
    pub fn check(&self) -> Result<(), ParameterError> {
        check_num_steps(self.num_steps, 2)?;
        self.process().check()?;
        ParameterError::within("eps_s", self.eps_s, 1e-9, 0.999)
    }

    /// The noise levels, highest first, with 0 at the end: `num_steps + 1` values.
    pub(crate) fn sigmas(&self) -> Vec<f64> {
        let (process, last) = (self.process(), (self.num_steps - 1) as f64);
        (0..self.num_steps)
            .map(|i| match i {
                // Exactly the end, not as the sum rounds it.
                _ if i + 1 == self.num_steps => self.sigma_min(),
                _ => process.sigma(1.0 + i as f64 / last * (self.eps_s - 1.0)),
            })
            .chain([0.0])
            .collect()
    }

    /// Lowest noise level above zero.
    pub fn sigma_min(&self) -> f64 {
        self.process().sigma(self.eps_s)
    }

    /// Noise level of the prior.
    pub fn sigma_max(&self) -> f64 {
        self.process().sigma(1.0)
    }

    fn process(&self) -> VpProcess {
        VpProcess {
            beta_d: self.beta_d,
            beta_min: self.beta_min,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_levels_are_even_in_time() {
        let schedule = VpSchedule {
            num_steps: 10,
            beta_d: 19.9,
            beta_min: 0.1,
            eps_s: 1e-3,
        };
        let process = schedule.process();
        for (i, sigma) in schedule.sigmas()[..10].iter().enumerate() {
            let (got, want) = (process.t(*sigma), 1.0 - 0.111 * i as f64);
            assert!(
                (got - want).abs() < 1e-12,
                "step {i}: got {got}, want {want}"
            );
        }
    }
}
