//! From seeds to samples.

use candle_core::{DType, Device, Result, Tensor};
use pfgmpp_kernel::{
    Denoiser, Dimension, Kernel, SampleRng, Stream, in_f64, squared_norms, widest_float,
};
use pfgmpp_transfer::{Guess, ParameterError, Schedule};
use serde::{Deserialize, Serialize};

use crate::rk45::{Tolerance, rk45};
use crate::slope::column;
use crate::{Churn, ChurnConfig, DenoiserSlope, Trajectory, Watch, euler, heun};

/// The method that integrates the ODE.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Solver {
    /// First order, one evaluation a step ([`euler`]).
    Euler,
    /// Second order, two evaluations a step ([`heun`]).
    Heun,
    /// Fifth order, with steps that follow the estimated error ([`rk45`]); the schedule gives the ends.
    Rk45 {
        /// Tolerance relative to the size of each value.
        rtol: f64,
        /// Tolerance in units of the data.
        atol: f64,
    },
}

/// A solver, the noise levels it visits, and what it starts from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampler {
    /// The method that integrates the ODE.
    pub solver: Solver,
    /// The noise levels it visits.
    pub schedule: Schedule,
    /// The dimension D to sample at, where it is not that of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub d: Option<Dimension>,
    /// Where a denoiser of D = ∞ that samples at another D takes its guess of the data from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guess: Option<Guess>,
    /// Bounds that the norm of the prior's samples is held to, as original PFGM does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prior_radius: Option<[f64; 2]>,
    /// Noise added on the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub churn: Option<ChurnConfig>,
}

impl Sampler {
    /// The sampler that integrates with `solver` over `schedule`, and nothing else.
    pub fn new(solver: Solver, schedule: Schedule) -> Self {
        Self {
            solver,
            schedule,
            d: None,
            guess: None,
            prior_radius: None,
            churn: None,
        }
    }

    /// Checks every parameter.
    ///
    /// # Errors
    ///
    /// The first one outside its range; churn with a solver that takes none.
    pub fn check(&self) -> std::result::Result<(), ParameterError> {
        self.schedule.check().map_err(|e| e.under("schedule"))?;
        if let Some(guess) = &self.guess {
            guess.check().map_err(|e| e.under("guess.fixed_point"))?;
        }
        if let Some([low, high]) = self.prior_radius {
            ParameterError::within("prior_radius[0]", low, 0.0, 1e12)?;
            ParameterError::within("prior_radius[1]", high, 1e-12, 1e12)?;
            ParameterError::ordered("prior_radius[0]", low, "prior_radius[1]", high)?;
        }
        if let Some(churn) = &self.churn {
            churn.check().map_err(|e| e.under("churn"))?;
        }
        if let Solver::Rk45 { rtol, atol } = self.solver {
            ParameterError::within("rtol", rtol, 1e-12, 1.0)
                .and_then(|()| ParameterError::within("atol", atol, 1e-12, 1.0))
                .map_err(|e| e.under("solver.rk45"))?;
            if self.churn.is_some() {
                let accepted = "absent with solver rk45: its error estimate has no use for noise";
                return Err(ParameterError::new("churn", "given", accepted));
            }
        }
        Ok(())
    }

    /// Draws one sample for each seed: Student-t prior at `sigma_max`, then the ODE down the schedule.
    ///
    /// - `kernel`: N and D of the prior.
    /// - `shape`: shape of one sample, N elements.
    /// - `seeds`: one a sample; a seed gives the same sample whatever stands beside it in the batch.
    ///
    /// The state is kept in `f64` (in `f32` on Metal, which knows no wider type). Returns `[seeds.len(),
    /// shape...]` in `f32`.
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
        let x = self.prior(kernel, shape, seeds, device)?;
        let x = self.integrate(denoiser, kernel, x, seeds, &mut |_, _, _| Ok(()))?;
        x.to_dtype(DType::F32)
    }

    /// The paths that [`Self::sample`] takes: one a seed, from the prior to the sample.
    ///
    /// # Errors
    ///
    /// As [`Self::sample`].
    pub fn trace(
        &self,
        denoiser: &dyn Denoiser,
        kernel: &Kernel,
        shape: &[usize],
        seeds: &[u64],
        device: &Device,
    ) -> Result<Vec<Trajectory>> {
        let x = self.prior(kernel, shape, seeds, device)?;
        let mut paths = vec![Trajectory::default(); seeds.len()];
        let all: Vec<usize> = (0..seeds.len()).collect();
        let start = vec![self.schedule.sigma_max(); seeds.len()];
        let mut watch = |samples: &[usize], sigma: &[f64], x: &Tensor| {
            for (row, (&sample, &sigma)) in samples.iter().zip(sigma).enumerate() {
                let values = in_f64(&x.get(row)?)?.flatten_all()?.to_vec1::<f64>()?;
                paths[sample].sigma.push(sigma);
                paths[sample].x.extend(values);
            }
            Ok(())
        };
        watch(&all, &start, &x)?;
        self.integrate(denoiser, kernel, x, seeds, &mut watch)?;
        Ok(paths)
    }

    /// The states at `sigma_max`.
    fn prior(
        &self,
        kernel: &Kernel,
        shape: &[usize],
        seeds: &[u64],
        device: &Device,
    ) -> Result<Tensor> {
        let mut rngs: Vec<SampleRng> = seeds
            .iter()
            .map(|&seed| SampleRng::new(seed, Stream::Prior, 0))
            .collect();
        let sigma_max = self.schedule.sigma_max();
        let x = kernel.prior(shape, sigma_max, &mut rngs, widest_float(device), device)?;
        let Some([low, high]) = self.prior_radius else {
            return Ok(x);
        };
        let norms = squared_norms(&x)?.into_iter().map(f64::sqrt);
        let factors: Vec<f64> = norms.map(|r| r.clamp(low, high) / r).collect();
        x.broadcast_mul(&column(&factors, &x)?)
    }

    fn integrate(
        &self,
        denoiser: &dyn Denoiser,
        kernel: &Kernel,
        x: Tensor,
        seeds: &[u64],
        watch: &mut Watch,
    ) -> Result<Tensor> {
        let slope = DenoiserSlope::new(denoiser, None);
        let sigmas = self.schedule.sigmas();
        let num_steps = self.schedule.num_steps();
        let churn = self.churn.as_ref();
        let churn = churn.map(|config| Churn::new(config, kernel, seeds, num_steps));
        match self.solver {
            Solver::Euler => euler(&slope, x, &sigmas, churn.as_ref(), watch),
            Solver::Heun => heun(&slope, x, &sigmas, churn.as_ref(), watch),
            Solver::Rk45 { rtol, atol } => {
                let sigma_min = self.schedule.sigma_min();
                let ends = [self.schedule.sigma_max(), sigma_min];
                let tolerance = Tolerance { rtol, atol };
                let x = rk45(&slope, x, ends, num_steps, tolerance, watch)?;
                match sigmas.last() {
                    Some(0.0) => euler(&slope, x, &[sigma_min, 0.0], None, watch),
                    _ => Ok(x),
                }
            }
        }
    }
}
