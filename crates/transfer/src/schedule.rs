//! Noise schedules of the samplers.

use serde::{Deserialize, Serialize};

use crate::ParameterError;

/// The noise levels that a sampler visits, in `sigma` for every D.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Ends at 0.
    Edm(EdmSchedule),
    /// Ends at `sigma_min`.
    Geometric(GeometricSchedule),
}

impl Schedule {
    /// Checks the parameters.
    ///
    /// # Errors
    ///
    /// Too few or too many steps, a level that is not positive, or `sigma_min >= sigma_max`.
    pub fn check(&self) -> Result<(), ParameterError> {
        match self {
            Self::Edm(edm) => edm.check(),
            Self::Geometric(geometric) => geometric.check(),
        }
    }

    /// The noise levels, highest first.
    pub fn sigmas(&self) -> Vec<f64> {
        match self {
            Self::Edm(edm) => edm.sigmas(),
            Self::Geometric(geometric) => geometric.sigmas(),
        }
    }

    /// Number of solver steps.
    pub fn num_steps(&self) -> usize {
        match self {
            Self::Edm(edm) => edm.num_steps,
            Self::Geometric(geometric) => geometric.num_steps,
        }
    }

    /// The same schedule in another number of steps.
    #[must_use]
    pub fn with_num_steps(mut self, num_steps: usize) -> Self {
        match &mut self {
            Self::Edm(edm) => edm.num_steps = num_steps,
            Self::Geometric(geometric) => geometric.num_steps = num_steps,
        }
        self
    }

    /// Noise level of the prior.
    pub fn sigma_max(&self) -> f64 {
        match self {
            Self::Edm(edm) => edm.sigma_max,
            Self::Geometric(geometric) => geometric.sigma_max,
        }
    }

    /// Lowest noise level above zero.
    pub fn sigma_min(&self) -> f64 {
        match self {
            Self::Edm(edm) => edm.sigma_min,
            Self::Geometric(geometric) => geometric.sigma_min,
        }
    }
}

/// Noise levels even in `ln sigma`; original PFGM visits its z so.
///
/// ```text
/// sigma_i = sigma_max (sigma_min / sigma_max)^(i / num_steps),   i in 0..=num_steps
/// ```
///
/// Source: Xu et al. 2022, arXiv:2209.11178, section 3.3.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeometricSchedule {
    /// Number of solver steps, at least 1.
    pub num_steps: usize,
    /// Noise level where sampling ends.
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
        check_range(1, self.num_steps, self.sigma_min, self.sigma_max)
    }

    /// The noise levels, highest first: `num_steps + 1` values.
    pub fn sigmas(&self) -> Vec<f64> {
        let ratio = self.sigma_min / self.sigma_max;
        (0..=self.num_steps)
            .map(|i| match i {
                _ if i == self.num_steps => self.sigma_min,
                _ => self.sigma_max * ratio.powf(i as f64 / self.num_steps as f64),
            })
            .collect()
    }
}

/// Checks what all schedules have: the number of steps and the ends.
fn check_range(
    fewest: usize,
    num_steps: usize,
    sigma_min: f64,
    sigma_max: f64,
) -> Result<(), ParameterError> {
    if !(fewest..=1_000_000).contains(&num_steps) {
        let accepted = format!("from {fewest} to 1000000");
        return Err(ParameterError::new("num_steps", num_steps, accepted));
    }
    // Wider than any data need, and safe in f32.
    ParameterError::within("sigma_min", sigma_min, 1e-6, 1e6)?;
    ParameterError::within("sigma_max", sigma_max, 1e-6, 1e6)?;
    ParameterError::ordered("sigma_min", sigma_min, "sigma_max", sigma_max)
}

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
        ParameterError::within("rho", self.rho, 0.1, 1000.0)?;
        check_range(2, self.num_steps, self.sigma_min, self.sigma_max)
    }

    /// The noise levels, highest first, with 0 at the end: `num_steps + 1` values.
    pub fn sigmas(&self) -> Vec<f64> {
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
    fn a_geometric_schedule_is_even_in_the_logarithm_and_ends_at_sigma_min() {
        let geometric = GeometricSchedule {
            num_steps: 10,
            sigma_min: 1e-3,
            sigma_max: 40.0,
        };
        let sigmas = geometric.sigmas();
        assert_eq!((sigmas.len(), sigmas[0], sigmas[10]), (11, 40.0, 1e-3));
        let step = (1e-3_f64 / 40.0).ln() / 10.0;
        for pair in sigmas.windows(2) {
            let got = (pair[1] / pair[0]).ln();
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
