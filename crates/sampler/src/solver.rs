//! The methods that integrate the ODE, as configurations name them.

use pfgmpp_transfer::ParameterError;
use serde::{Deserialize, Serialize};

use crate::Rk45;

/// The method that integrates the ODE.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Solver {
    /// First order, one evaluation a step ([`euler`](crate::euler())).
    Euler,
    /// Second order, two evaluations a step ([`heun`](crate::heun())).
    Heun,
    /// Fifth order, steps chosen by an error bound, six evaluations each ([`rk45`](crate::rk45())).
    Rk45(Rk45),
}

impl Solver {
    /// Checks the parameters.
    ///
    /// # Errors
    ///
    /// The first parameter outside its range, under the name of the solver.
    pub fn check(&self) -> Result<(), ParameterError> {
        match self {
            Self::Euler | Self::Heun => Ok(()),
            Self::Rk45(rk45) => rk45.check().map_err(|e| e.under("rk45")),
        }
    }
}
