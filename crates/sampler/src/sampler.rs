//! From seeds to samples.

use candle_core::{DType, Device, Result, Tensor};
use pfgmpp_kernel::{Denoiser, Kernel, SampleRng, Stream};
use pfgmpp_transfer::{ParameterError, Schedule};
use serde::{Deserialize, Serialize};

use crate::prior_radius::{check_radius, clip_radius};
use crate::{DenoiserSlope, Solver, euler, heun, rk45};

/// A solver and the noise levels it visits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampler {
    /// The method that integrates the ODE.
    pub solver: Solver,
    /// The noise levels it visits.
    pub schedule: Schedule,
    /// Lowest and highest norm of a sample of the prior, as the original PFGM clips it; none: as drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prior_radius: Option<[f64; 2]>,
}

impl Sampler {
    /// Checks every parameter.
    ///
    /// # Errors
    ///
    /// The first parameter outside its range, by its path from here.
    pub fn check(&self) -> std::result::Result<(), ParameterError> {
        self.solver.check().map_err(|e| e.under("solver"))?;
        self.schedule.check().map_err(|e| e.under("schedule"))?;
        self.prior_radius.map_or(Ok(()), check_radius)
    }

    /// Draws one sample for each seed: Student-t prior at `sigma_max`, then the ODE down to the
    /// schedule's end.
    ///
    /// - `kernel`: N and D of the prior.
    /// - `shape`: shape of one sample, N elements.
    /// - `seeds`: one a sample; a seed gives the same sample whatever stands beside it in the batch.
    ///
    /// The state is kept in `f64`. Returns `[seeds.len(), shape...]` in `f32`.
    ///
    /// # Errors
    ///
    /// A shape that does not hold N elements, failures of the model, and
    /// [`Rk45Error`](crate::Rk45Error).
    pub fn sample(
        &self,
        denoiser: &dyn Denoiser,
        kernel: &Kernel,
        shape: &[usize],
        seeds: &[u64],
        device: &Device,
    ) -> Result<Tensor> {
        let x = self.prior(kernel, shape, seeds, device)?;
        let slope = DenoiserSlope::new(denoiser, None);
        let sigmas = self.schedule.sigmas();
        let x = match &self.solver {
            Solver::Euler => euler(&slope, x, &sigmas)?,
            Solver::Heun => heun(&slope, x, &sigmas)?,
            Solver::Rk45(tolerance) => rk45(&slope, x, &sigmas, tolerance)?,
        };
        x.to_dtype(DType::F32)
    }

    /// Where each seed starts, `[seeds.len(), shape...]` in `f64`.
    fn prior(
        &self,
        kernel: &Kernel,
        shape: &[usize],
        seeds: &[u64],
        device: &Device,
    ) -> Result<Tensor> {
        let streams = seeds
            .iter()
            .map(|&seed| SampleRng::new(seed, Stream::Prior, 0));
        let mut rngs: Vec<SampleRng> = streams.collect();
        let sigma_max = self.schedule.sigma_max();
        let x = kernel.prior(shape, sigma_max, &mut rngs, DType::F64, device)?;
        match self.prior_radius {
            Some(radius) => clip_radius(&x, radius),
            None => Ok(x),
        }
    }
}
