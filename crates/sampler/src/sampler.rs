//! From seeds to samples.

use candle_core::{DType, Device, Result, Tensor};
use pfgmpp_kernel::{Denoiser, Kernel, SampleRng, Stream};
use pfgmpp_transfer::{EdmSchedule, ParameterError};
use serde::{Deserialize, Serialize};

use crate::{DenoiserSlope, heun};

/// The method that integrates the ODE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Solver {
    /// Second order, two evaluations a step ([`heun`]).
    Heun,
}

/// A solver and the noise levels it visits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampler {
    /// The method that integrates the ODE.
    pub solver: Solver,
    /// The noise levels it visits.
    pub schedule: EdmSchedule,
}

impl Sampler {
    /// Checks the schedule.
    ///
    /// # Errors
    ///
    /// See [`EdmSchedule::check`].
    pub fn check(&self) -> std::result::Result<(), ParameterError> {
        self.schedule.check()
    }

    /// Draws one sample for each seed: Student-t prior at `sigma_max`, then the ODE down to 0.
    ///
    /// - `kernel`: N and D of the prior.
    /// - `shape`: shape of one sample, N elements.
    /// - `seeds`: one a sample; a seed gives the same sample whatever stands beside it in the batch.
    ///
    /// The state is kept in `f64`. Returns `[seeds.len(), shape...]` in `f32`.
    ///
    /// # Errors
    ///
    /// A shape that does not hold N elements, and failures of the model.
    pub fn sample(
        &self,
        denoiser: &dyn Denoiser,
        kernel: &Kernel,
        shape: &[usize],
        seeds: &[u64],
        device: &Device,
    ) -> Result<Tensor> {
        let mut rngs: Vec<SampleRng> = seeds
            .iter()
            .map(|&seed| SampleRng::new(seed, Stream::Prior, 0))
            .collect();
        let sigmas = self.schedule.sigmas();
        let x = kernel.prior(shape, sigmas[0], &mut rngs, DType::F64, device)?;
        let slope = DenoiserSlope::new(denoiser, None);
        let x = match self.solver {
            Solver::Heun => heun(&slope, x, &sigmas)?,
        };
        x.to_dtype(DType::F32)
    }
}
