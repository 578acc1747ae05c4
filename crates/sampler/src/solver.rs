//! The methods that integrate the ODE, one a file.

use std::fmt::Debug;

use candle_core::{Result, Tensor};
use pfgmpp_transfer::{Levels, ParameterError};
use serde::{Deserialize, Serialize};

use crate::Path;

/// One step of the way.
#[derive(Clone, Debug)]
pub struct Step {
    /// The state, shape `[B, ...]`.
    pub x: Tensor,
    /// Its noise level.
    pub sigma: f64,
    /// The level to reach, above 0; below `sigma` in sampling, above it in encoding.
    pub sigma_next: f64,
    /// Number of steps of the whole way, as the schedule has it.
    pub num_steps: usize,
}

impl Step {
    /// `x + (sigma_next - sigma) slope`: along one slope to the next level.
    ///
    /// # Errors
    ///
    /// Failures of the tensor backend.
    pub fn along(&self, slope: &Tensor) -> Result<Tensor> {
        &self.x + (slope * (self.sigma_next - self.sigma))?
    }
}

/// A method that integrates `dx/dsigma = (x - E[y|x]) / sigma` from one noise level to the next.
///
/// It knows nothing of schedules, added noise or the level 0: [`Integration`](crate::Integration) does.
pub trait Solver: Debug + Send + Sync {
    /// Order p of the error at the end, which falls as `num_steps^-p`.
    fn order(&self) -> usize;

    /// Evaluations of the denoiser on a way over `levels`, the one that reaches 0 included; `None` where it depends on
    /// the samples.
    fn evaluations(&self, levels: &Levels) -> Option<usize>;

    /// Number of evaluations of earlier steps that a step uses.
    fn history(&self) -> usize {
        0
    }

    /// Whether the method chooses its steps between the first and the last level itself, and shows them.
    fn adapts(&self) -> bool {
        false
    }

    /// Checks the parameters.
    ///
    /// # Errors
    ///
    /// The first one outside its range.
    fn check(&self) -> std::result::Result<(), ParameterError> {
        Ok(())
    }

    /// The state at `step.sigma_next`, shape `[B, ...]`.
    ///
    /// # Errors
    ///
    /// Failures of the model.
    fn step(&self, step: &Step, path: &mut Path) -> Result<Tensor>;
}

impl<S: Solver + 'static> From<S> for Box<dyn Solver> {
    fn from(solver: S) -> Self {
        Box::new(solver)
    }
}

/// Evaluations of a method that takes `each` in every step above 0, and one to reach 0.
fn fixed_evaluations(each: usize, levels: &Levels) -> usize {
    each * levels.steps_above_zero() + usize::from(levels.ends_at_zero())
}

/// Declares the file of each solver, its name in configurations and its parameters there.
macro_rules! solvers {
    ($($(#[$doc:meta])* $file:ident::$Name:ident
        $({ $($(#[$field_doc:meta])* $field:ident: $type:ty),* })?),* $(,)?) => {
        $(mod $file; pub use $file::*;)*

        /// A solver as configurations name it.
        #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case", deny_unknown_fields)]
        pub enum SolverConfig {
            $($(#[$doc])* $Name $({ $($(#[$field_doc])* $field: $type),* })?,)*
        }

        impl SolverConfig {
            /// The method itself.
            #[must_use]
            pub fn solver(self) -> Box<dyn Solver> {
                match self {
                    $(Self::$Name { $($($field),*)? } => Box::new($Name { $($($field),*)? }),)*
                }
            }

            /// Its name in configurations.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$Name { .. } => stringify!($file),)*
                }
            }
        }
    };
}

// A new solver is a file and a line here; its own tests are `crate::conformance`'s.
solvers! {
    /// First order, one evaluation per step.
    euler::Euler,
    /// Second order, two evaluations per step.
    heun::Heun,
    /// Second order, two evaluations per step, the second halfway in `ln sigma`.
    midpoint::Midpoint,
    /// Second order, two evaluations per step, the second a share `alpha` of it away.
    alpha::Alpha {
        /// Where the second evaluation is, from 0.1 to 1 of the step.
        alpha: f64
    },
    /// DPM-Solver++(2M): second order, one evaluation per step.
    dpmpp2m::Dpmpp2m,
    /// DPM-Solver++ with three steps: third order, one evaluation per step.
    dpmpp3m::Dpmpp3m,
    /// UniPC: predicted and corrected, one evaluation per step.
    unipc::Unipc {
        /// Number of estimates of the predictor, 1 to 3.
        order: usize,
        /// The free function.
        variant: UnipcVariant
    },
    /// iPNDM: up to four slopes with the weights of even steps, one evaluation per step.
    ipndm::Ipndm {
        /// Number of slopes, 1 to 4.
        order: usize
    },
    /// DEIS: a polynomial through up to three slopes, one evaluation per step.
    deis::Deis {
        /// Number of slopes, 1 to 3.
        order: usize
    },
    /// Fifth order, with steps that follow the estimated error; the schedule gives the ends.
    rk45::Rk45 {
        /// Tolerance relative to the size of each value.
        rtol: f64,
        /// Tolerance in units of the data.
        atol: f64
    },
}
