//! Noise schedules of the samplers, in `sigma` for every D.

mod edm;
mod explicit;
mod flow;
mod geometric;
mod iddpm;
mod rounded;
mod ve;
mod vp;

use serde::{Deserialize, Serialize};

use crate::{Levels, ParameterError};
pub use edm::EdmSchedule;
pub use explicit::ExplicitSchedule;
pub use flow::FlowSchedule;
pub use geometric::GeometricSchedule;
pub use iddpm::IddpmSchedule;
pub use rounded::RoundedSchedule;
pub use ve::VeSchedule;
pub use vp::VpSchedule;

/// The noise levels that a solver visits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Even in `sigma^(1/rho)`, then 0 (Karras et al. 2022).
    Edm(EdmSchedule),
    /// Even in `ln sigma`, down to `sigma_min` (Xu et al. 2022, in z).
    Geometric(GeometricSchedule),
    /// Even in the time of the variance-preserving process, then 0 (DDPM, by Karras et al. 2022).
    Vp(VpSchedule),
    /// Even in `ln sigma`, then 0 (the variance-exploding process, by Karras et al. 2022).
    Ve(VeSchedule),
    /// Even in the index of improved DDPM's levels, then 0 (by Karras et al. 2022).
    Iddpm(IddpmSchedule),
    /// Those of `edm`, each rounded to one that a network of improved DDPM knows (by Karras et al. 2022).
    Rounded(RoundedSchedule),
    /// Even in the time of a rectified flow, `sigma = t / (1 - t)`, then 0.
    Flow(FlowSchedule),
    /// A list of levels, highest first.
    Levels(ExplicitSchedule),
}

impl Schedule {
    /// Checks the parameters.
    ///
    /// # Errors
    ///
    /// The first parameter outside its range, under the name of the schedule.
    pub fn check(&self) -> Result<(), ParameterError> {
        match self {
            Self::Edm(edm) => edm.check().map_err(|e| e.under("edm")),
            Self::Geometric(geometric) => geometric.check().map_err(|e| e.under("geometric")),
            Self::Vp(vp) => vp.check().map_err(|e| e.under("vp")),
            Self::Ve(ve) => ve.check().map_err(|e| e.under("ve")),
            Self::Iddpm(iddpm) => iddpm.check().map_err(|e| e.under("iddpm")),
            Self::Rounded(rounded) => rounded.check().map_err(|e| e.under("rounded")),
            Self::Flow(flow) => flow.check().map_err(|e| e.under("flow")),
            Self::Levels(explicit) => explicit.check(),
        }
    }

    /// The noise levels, highest first: `num_steps + 1` of them, the last of which may be 0.
    ///
    /// # Errors
    ///
    /// As [`Self::check`].
    pub fn levels(&self) -> Result<Levels, ParameterError> {
        self.check()?;
        Levels::new(self.sigmas())
    }

    fn sigmas(&self) -> Vec<f64> {
        match self {
            Self::Edm(edm) => edm.sigmas(),
            Self::Geometric(geometric) => geometric.sigmas(),
            Self::Vp(vp) => vp.sigmas(),
            Self::Ve(ve) => ve.sigmas(),
            Self::Iddpm(iddpm) => iddpm.sigmas(),
            Self::Rounded(rounded) => rounded.sigmas(),
            Self::Flow(flow) => flow.sigmas(),
            Self::Levels(explicit) => explicit.sigmas(),
        }
    }

    /// Number of solver steps.
    pub fn num_steps(&self) -> usize {
        match self {
            Self::Edm(edm) => edm.num_steps,
            Self::Geometric(geometric) => geometric.num_steps,
            Self::Vp(vp) => vp.num_steps,
            Self::Ve(ve) => ve.num_steps,
            Self::Iddpm(iddpm) => iddpm.num_steps,
            Self::Rounded(rounded) => rounded.num_steps(),
            Self::Flow(flow) => flow.num_steps,
            Self::Levels(explicit) => explicit.num_steps(),
        }
    }

    /// Lowest noise level above zero.
    pub fn sigma_min(&self) -> f64 {
        match self {
            Self::Edm(edm) => edm.sigma_min,
            Self::Geometric(geometric) => geometric.sigma_min,
            Self::Vp(vp) => vp.sigma_min(),
            Self::Ve(ve) => ve.sigma_min,
            Self::Iddpm(iddpm) => iddpm.sigma_min(),
            Self::Rounded(rounded) => rounded.sigma_min(),
            Self::Flow(flow) => flow.sigma_min,
            Self::Levels(explicit) => explicit.sigma_min(),
        }
    }

    /// Noise level of the prior.
    pub fn sigma_max(&self) -> f64 {
        match self {
            Self::Edm(edm) => edm.sigma_max,
            Self::Geometric(geometric) => geometric.sigma_max,
            Self::Vp(vp) => vp.sigma_max(),
            Self::Ve(ve) => ve.sigma_max,
            Self::Iddpm(iddpm) => iddpm.sigma_max(),
            Self::Rounded(rounded) => rounded.sigma_max(),
            Self::Flow(flow) => flow.sigma_max,
            Self::Levels(explicit) => explicit.sigma_max(),
        }
    }

    /// The same schedule in `num_steps` steps; [`Self::check`] tells whether it can be. A list of levels stays as it is.
    #[must_use]
    pub fn with_num_steps(mut self, num_steps: usize) -> Self {
        match &mut self {
            Self::Edm(edm) => edm.num_steps = num_steps,
            Self::Geometric(geometric) => geometric.num_steps = num_steps,
            Self::Vp(vp) => vp.num_steps = num_steps,
            Self::Ve(ve) => ve.num_steps = num_steps,
            Self::Iddpm(iddpm) => iddpm.num_steps = num_steps,
            Self::Rounded(rounded) => rounded.num_steps = num_steps,
            Self::Flow(flow) => flow.num_steps = num_steps,
            // A list has as many steps as it has.
            Self::Levels(_) => {}
        }
        self
    }
}

/// Refuses fewer than `least` steps, and more than any run could take.
fn check_num_steps(num_steps: usize, least: usize) -> Result<(), ParameterError> {
    if (least..=1_000_000).contains(&num_steps) {
        return Ok(());
    }
    let accepted = format!("from {least} to 1000000");
    Err(ParameterError::new("num_steps", num_steps, accepted))
}

/// Refuses ends that are not positive levels, the lower one below the upper.
pub(crate) fn check_ends(sigma_min: f64, sigma_max: f64) -> Result<(), ParameterError> {
    // Wider than any data need, and safe in f32.
    ParameterError::within("sigma_min", sigma_min, 1e-6, 1e6)?;
    ParameterError::within("sigma_max", sigma_max, 1e-6, 1e6)?;
    ParameterError::ordered("sigma_min", sigma_min, "sigma_max", sigma_max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_schedule_they_are_about() {
        let geometric = Schedule::Geometric(GeometricSchedule {
            num_steps: 10,
            sigma_min: 1e-3,
            sigma_max: 40.0,
        });
        let got = geometric
            .with_num_steps(0)
            .levels()
            .unwrap_err()
            .to_string();
        assert_eq!(got, "geometric.num_steps must be from 1 to 1000000, got 0");
    }

    #[test]
    fn every_schedule_has_num_steps_intervals_between_its_ends() {
        let edm = Schedule::Edm(EdmSchedule {
            num_steps: 18,
            sigma_min: 0.002,
            sigma_max: 80.0,
            rho: 7.0,
        });
        let geometric = Schedule::Geometric(GeometricSchedule {
            num_steps: 18,
            sigma_min: 0.002,
            sigma_max: 80.0,
        });
        let vp = Schedule::Vp(VpSchedule {
            num_steps: 18,
            beta_d: 19.9,
            beta_min: 0.1,
            eps_s: 1e-3,
        });
        let ve = Schedule::Ve(VeSchedule {
            num_steps: 18,
            sigma_min: 0.02,
            sigma_max: 100.0,
        });
        let iddpm = Schedule::Iddpm(IddpmSchedule {
            num_steps: 18,
            c_1: 0.001,
            c_2: 0.008,
            m: 1000,
            j_0: 8,
        });
        let rounded = Schedule::Rounded(RoundedSchedule {
            num_steps: 18,
            sigma_min: 0.0064,
            sigma_max: 80.0,
            rho: 7.0,
            c_1: 0.001,
            c_2: 0.008,
            m: 1000,
        });
        let flow = Schedule::Flow(FlowSchedule {
            num_steps: 18,
            sigma_min: 0.002,
            sigma_max: 80.0,
            shift: 3.0,
        });
        for schedule in [edm, geometric, vp, ve, iddpm, rounded, flow] {
            let schedule = schedule.with_num_steps(7);
            let levels = schedule.levels().unwrap();
            let sigmas = levels.as_slice();
            assert_eq!((levels.num_steps(), schedule.num_steps()), (7, 7));
            assert_eq!(sigmas[0], schedule.sigma_max());
            let lowest = sigmas.iter().rfind(|&&sigma| sigma > 0.0);
            assert_eq!(lowest, Some(&schedule.sigma_min()));
            assert!(sigmas.windows(2).all(|w| w[0] > w[1]), "got {sigmas:?}");
        }
    }
}
