//! From seeds to samples.

use candle_core::{DType, Device, Result, Tensor};
use pfgmpp_kernel::{Denoiser, Kernel, SampleRng, Stream};
use pfgmpp_transfer::{ParameterError, Schedule};
use serde::{Deserialize, Serialize};

use crate::euler::euler_step;
use crate::heun::heun_step;
use crate::observer::Observer;
use crate::prior_radius::{check_radius, clip_radius};
use crate::rk45::rk45_observed;
use crate::state::State;
use crate::{Churn, DenoiserSlope, Slope, Solver};

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
    /// Noise that is put back before the steps; none: the deterministic sampler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub churn: Option<Churn>,
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
        self.prior_radius.map_or(Ok(()), check_radius)?;
        match &self.churn {
            Some(churn) => churn.check(&self.solver),
            None => Ok(()),
        }
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
        let x = self.integrate(&slope, kernel, x, seeds, &mut ())?;
        x.to_dtype(DType::F32)
    }

    /// Brings `x` from `sigma_max` to the schedule's end while `observer` looks on.
    pub(crate) fn integrate<S: Slope>(
        &self,
        slope: &S,
        kernel: &Kernel,
        x: Tensor,
        seeds: &[u64],
        observer: &mut impl Observer,
    ) -> Result<Tensor> {
        let step = match &self.solver {
            Solver::Euler => euler_step::<S>,
            Solver::Heun => heun_step::<S>,
            Solver::Rk45(tolerance) => {
                let sigmas = self.schedule.sigmas();
                return rk45_observed(slope, x, &sigmas, tolerance, observer);
            }
        };
        let (sigmas, num_steps) = (self.schedule.sigmas(), self.schedule.num_steps());
        observer.visit_all(&x, sigmas[0])?;
        let mut state = State::new(x);
        for (index, levels) in sigmas.windows(2).enumerate() {
            let (mut sigma_cur, sigma_next) = (levels[0], levels[1]);
            if let Some(churn) = &self.churn {
                let sigma_hat = churn.sigma_hat(sigma_cur, num_steps);
                if sigma_hat > sigma_cur {
                    let levels = [sigma_cur, sigma_hat];
                    let mut rngs = streams(seeds, Stream::Churn, index as u64);
                    state = churn.raise(kernel, slope, state, levels, &mut rngs)?;
                    observer.visit_all(&state.x, sigma_hat)?;
                    sigma_cur = sigma_hat;
                }
            }
            state = step(slope, &state, sigma_cur, sigma_next)?;
            observer.visit_all(&state.x, sigma_next)?;
        }
        Ok(state.x)
    }

    /// Where each seed starts, `[seeds.len(), shape...]` in `f64`.
    pub(crate) fn prior(
        &self,
        kernel: &Kernel,
        shape: &[usize],
        seeds: &[u64],
        device: &Device,
    ) -> Result<Tensor> {
        let mut rngs = streams(seeds, Stream::Prior, 0);
        let sigma_max = self.schedule.sigma_max();
        let x = kernel.prior(shape, sigma_max, &mut rngs, DType::F64, device)?;
        match self.prior_radius {
            Some(radius) => clip_radius(&x, radius),
            None => Ok(x),
        }
    }
}

/// One generator a sample, for one purpose and index.
fn streams(seeds: &[u64], purpose: Stream, index: u64) -> Vec<SampleRng> {
    let stream = |&seed| SampleRng::new(seed, purpose, index);
    seeds.iter().map(stream).collect()
}
