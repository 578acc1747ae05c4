//! Stochastic sampling: noise that is put back between the steps of the ODE.

use candle_core::Result;
use pfgmpp_kernel::{Kernel, SampleRng};
use pfgmpp_transfer::ParameterError;
use serde::{Deserialize, Serialize};

use crate::raise::{raise_gaussian, raise_posterior};
use crate::state::State;
use crate::{Slope, Solver};

/// The noise that a stochastic sampler adds before its steps.
///
/// ```text
/// gamma = min(s_churn / num_steps, sqrt(2) - 1) where s_min <= sigma <= s_max, else 0
/// sigma_hat = sigma (1 + gamma)
/// ```
///
/// Source: Karras et al. 2022, algorithm 2.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Churn {
    /// How much noise is added over all steps; 0 for none.
    pub s_churn: f64,
    /// Lowest noise level at which noise is added.
    pub s_min: f64,
    /// Highest noise level at which noise is added.
    pub s_max: f64,
    /// Factor on the added noise; 1 keeps the law.
    pub s_noise: f64,
    /// The law of the added noise.
    pub kind: ChurnKind,
}

/// The law of the added noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChurnKind {
    /// Of the scale that the sample's own noise has ([`raise_posterior`]): keeps the law at every D.
    Posterior,
    /// Of the nominal scale ([`raise_gaussian`]), as published: keeps the law at D = ∞ only.
    Gaussian,
}

impl Churn {
    /// Checks the parameters; `solver` is the one they are to be used with.
    ///
    /// # Errors
    ///
    /// The first parameter outside its range, and a solver that chooses its own levels.
    pub fn check(&self, solver: &Solver) -> std::result::Result<(), ParameterError> {
        if matches!(solver, Solver::Rk45(_)) {
            let accepted = "euler or heun with churn (or churn null)";
            return Err(ParameterError::new("solver", "rk45", accepted));
        }
        let checked = || {
            ParameterError::within("s_churn", self.s_churn, 0.0, 1e6)?;
            ParameterError::within("s_min", self.s_min, 0.0, 1e6)?;
            // Finite, because JSON has no infinity; no schedule goes higher.
            ParameterError::within("s_max", self.s_max, 0.0, 1e6)?;
            ParameterError::ordered("s_min", self.s_min, "s_max", self.s_max)?;
            ParameterError::within("s_noise", self.s_noise, 0.0, 10.0)
        };
        checked().map_err(|e| e.under("churn"))
    }

    /// The level that noise is raised to before a step from `sigma`, one of `num_steps`.
    pub fn sigma_hat(&self, sigma: f64, num_steps: usize) -> f64 {
        if !(self.s_min..=self.s_max).contains(&sigma) {
            return sigma;
        }
        let gamma = (self.s_churn / num_steps as f64).min(std::f64::consts::SQRT_2 - 1.0);
        sigma * (1.0 + gamma)
    }

    /// Raises a batch from the first of `levels` to the second, with one generator a sample.
    ///
    /// The data behind `x` are the last estimate's; where there is none yet, it costs one evaluation.
    pub(crate) fn raise(
        &self,
        kernel: &Kernel,
        slope: &impl Slope,
        state: State,
        levels: [f64; 2],
        rngs: &mut [SampleRng],
    ) -> Result<State> {
        let State { x, denoised } = state;
        match self.kind {
            ChurnKind::Gaussian => {
                let x = raise_gaussian(&x, levels, self.s_noise, rngs)?;
                Ok(State { x, denoised })
            }
            ChurnKind::Posterior => {
                let denoised = match denoised {
                    Some(denoised) => denoised,
                    None => {
                        slope
                            .slope(&x, &vec![levels[0]; rngs.len()], None)?
                            .denoised
                    }
                };
                let x = raise_posterior(kernel, &x, &denoised, levels, self.s_noise, rngs)?;
                let denoised = Some(denoised);
                Ok(State { x, denoised })
            }
        }
    }
}
