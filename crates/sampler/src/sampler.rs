//! From seeds to samples, and back.

use std::borrow::Cow;
use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor};
use pfgmpp_kernel::{
    Condition, Denoiser, Kernel, SampleRng, Stream, in_f64, squared_norms, widest_float,
};
use pfgmpp_transfer::{Levels, ParameterError};

use crate::self_timed::ToSchedule;
use crate::{
    Churn, ChurnConfig, InjectedNoise, Integration, SelfTimed, Solver, StartFromCondition,
    TimedStep, Trajectory, Watch,
};
use pfgmpp_kernel::column;

/// A solver, the noise levels it visits, and what it starts from: checked where it is made.
#[derive(Clone, Debug)]
pub struct Sampler {
    solver: Arc<dyn Solver>,
    levels: Levels,
    prior_radius: Option<[f64; 2]>,
    temperature: f64,
    churn: Option<ChurnConfig>,
    injected_noise: f64,
    to_schedule: Option<f64>,
    start: Option<StartFromCondition>,
}

impl Sampler {
    /// The sampler that integrates with `solver` down `levels`, and nothing else.
    ///
    /// # Errors
    ///
    /// Parameters that the solver refuses, and levels that rise.
    pub fn new(
        solver: impl Into<Box<dyn Solver>>,
        levels: Levels,
    ) -> std::result::Result<Self, ParameterError> {
        let solver: Box<dyn Solver> = solver.into();
        solver.check()?;
        if !levels.fall() {
            let [first, last] = levels.ends();
            let accepted = "falling for a sampler, which encodes by the same levels in reverse";
            let got = format!("levels from {first} to {last}");
            return Err(ParameterError::new("levels", got, accepted));
        }
        Ok(Self {
            solver: solver.into(),
            levels,
            prior_radius: None,
            temperature: 1.0,
            churn: None,
            injected_noise: 0.0,
            to_schedule: None,
            start: None,
        })
    }

    /// With the norm of the prior's samples held between two bounds, as original PFGM does.
    ///
    /// # Errors
    ///
    /// Bounds out of range or out of order.
    pub fn with_prior_radius(
        mut self,
        [low, high]: [f64; 2],
    ) -> std::result::Result<Self, ParameterError> {
        ParameterError::within("prior_radius[0]", low, 0.0, 1e12)?;
        ParameterError::within("prior_radius[1]", high, 1e-12, 1e12)?;
        ParameterError::ordered("prior_radius[0]", low, "prior_radius[1]", high)?;
        self.prior_radius = Some([low, high]);
        Ok(self)
    }

    /// With the norm of the prior's samples multiplied by `temperature`: below 1 for samples nearer to the middle of the
    /// data, less varied, above 1 for more varied ones.
    ///
    /// # Errors
    ///
    /// A temperature outside 0.01 to 10.
    pub fn with_temperature(
        mut self,
        temperature: f64,
    ) -> std::result::Result<Self, ParameterError> {
        ParameterError::within("temperature", temperature, 0.01, 10.0)?;
        self.temperature = temperature;
        Ok(self)
    }

    /// With noise added on the way down.
    ///
    /// # Errors
    ///
    /// Parameters out of range, and a solver that chooses its own steps.
    pub fn with_churn(mut self, churn: ChurnConfig) -> std::result::Result<Self, ParameterError> {
        churn.check().map_err(|e| e.under("churn"))?;
        if self.solver.adapts() {
            let accepted = "absent with a solver that chooses its steps: its error estimate has no use for noise";
            return Err(ParameterError::new("churn", "given", accepted));
        }
        self.churn = Some(churn);
        Ok(self)
    }

    /// With Gaussian noise of `alpha` times the level added before each step, of which the solver is not told.
    ///
    /// # Errors
    ///
    /// An alpha out of range, and a solver that chooses its own steps.
    pub fn with_injected_noise(mut self, alpha: f64) -> std::result::Result<Self, ParameterError> {
        InjectedNoise::check(alpha)?;
        if self.solver.adapts() && alpha > 0.0 {
            let accepted = "0 with a solver that chooses its steps";
            return Err(ParameterError::new("injected_noise", alpha, accepted));
        }
        self.injected_noise = alpha;
        Ok(self)
    }

    /// With steps as self-timed sampling takes them; the denoiser is to be [`SelfTimed::denoiser`]'s.
    ///
    /// # Errors
    ///
    /// A kappa out of range, and steps to the schedule with a solver that chooses its own.
    pub fn with_self_timed(
        mut self,
        timed: &SelfTimed,
    ) -> std::result::Result<Self, ParameterError> {
        timed.check()?;
        if timed.step == TimedStep::ToSchedule {
            if self.solver.adapts() {
                let accepted = "keep_ratio with a solver that chooses its steps";
                return Err(ParameterError::new("step", "to_schedule", accepted));
            }
            // With kappa infinite a sample shows what the schedule says.
            self.to_schedule = Some(timed.kappa.value()).filter(|kappa| kappa.is_finite());
        }
        Ok(self)
    }

    /// Starting from the conditioning image in place of the prior.
    ///
    /// # Errors
    ///
    /// As [`StartFromCondition::check`].
    pub fn starting_from_condition(
        mut self,
        start: StartFromCondition,
    ) -> std::result::Result<Self, ParameterError> {
        start.check(&self.levels)?;
        self.start = Some(start);
        Ok(self)
    }

    /// Evaluations of the model that a sample takes; `None` where that depends on the sample.
    #[must_use]
    pub fn evaluations(&self) -> Option<usize> {
        match self.visited() {
            Some(levels) => self.solver.evaluations(&levels),
            None => Some(1),
        }
    }

    /// The levels that samples visit; `None` where one evaluation makes them.
    fn visited(&self) -> Option<Cow<'_, Levels>> {
        match &self.start {
            None => Some(Cow::Borrowed(&self.levels)),
            Some(start) => start.levels(&self.levels).map(Cow::Owned),
        }
    }

    /// The method.
    #[must_use]
    pub fn solver(&self) -> &dyn Solver {
        &*self.solver
    }

    /// The noise levels, falling.
    #[must_use]
    pub fn levels(&self) -> &Levels {
        &self.levels
    }

    /// Draws one sample for each seed: Student-t prior at the highest level, then the ODE down the levels.
    ///
    /// - `condition`: what the samples are conditioned on, a row for each seed; [`Condition::unconditional`] for nothing.
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
        condition: &Condition,
        kernel: &Kernel,
        shape: &[usize],
        seeds: &[u64],
        device: &Device,
    ) -> Result<Tensor> {
        let x = self.state(condition, kernel, shape, seeds, device)?;
        let x = self.fall(denoiser, condition, kernel, x, seeds, &mut |_, _, _| Ok(()))?;
        x.to_dtype(DType::F32)
    }

    /// The paths that [`Self::sample`] takes: one per seed, from the prior to the sample.
    ///
    /// # Errors
    ///
    /// As [`Self::sample`].
    pub fn trace(
        &self,
        denoiser: &dyn Denoiser,
        condition: &Condition,
        kernel: &Kernel,
        shape: &[usize],
        seeds: &[u64],
        device: &Device,
    ) -> Result<Vec<Trajectory>> {
        let x = self.state(condition, kernel, shape, seeds, device)?;
        let mut paths = vec![Trajectory::default(); seeds.len()];
        let all: Vec<usize> = (0..seeds.len()).collect();
        let highest = self.levels.sigma_max();
        let start = vec![self.start.map_or(highest, |start| start.sigma); seeds.len()];
        let mut watch = |samples: &[usize], sigma: &[f64], x: &Tensor| {
            for (row, (&sample, &sigma)) in samples.iter().zip(sigma).enumerate() {
                let values = in_f64(&x.get(row)?)?.flatten_all()?.to_vec1::<f64>()?;
                paths[sample].sigma.push(sigma);
                paths[sample].x.extend(values);
            }
            Ok(())
        };
        watch(&all, &start, &x)?;
        self.fall(denoiser, condition, kernel, x, seeds, &mut watch)?;
        Ok(paths)
    }

    /// The latent states of data: the ODE up the same levels, from the lowest above 0 to the highest.
    ///
    /// - `x`: data, shape `[B, ...]`, taken as they are for states at the lowest level.
    /// - `condition`: a row for each of them.
    ///
    /// Returns the shape of `x` in `f64` (in `f32` on Metal), states at the prior's level. No noise is added.
    ///
    /// # Errors
    ///
    /// Failures of the model.
    pub fn encode(
        &self,
        denoiser: &dyn Denoiser,
        condition: &Condition,
        x: &Tensor,
    ) -> Result<Tensor> {
        self.follow(denoiser, condition, &self.levels.reversed(), x)
    }

    /// The data of latent states, as [`Self::encode`] gives them: the ODE down the levels from `x`.
    ///
    /// Returns the shape of `x` in `f32`. No noise is added.
    ///
    /// # Errors
    ///
    /// Failures of the model.
    pub fn decode(
        &self,
        denoiser: &dyn Denoiser,
        condition: &Condition,
        x: &Tensor,
    ) -> Result<Tensor> {
        self.follow(denoiser, condition, &self.levels, x)?
            .to_dtype(DType::F32)
    }

    /// The states at the lowest level above 0 of latent states: the way of [`Self::encode`] back, which gives what it took
    /// but for the solver's error.
    ///
    /// Returns the shape of `x` in `f64` (in `f32` on Metal). No noise is added.
    ///
    /// # Errors
    ///
    /// Failures of the model.
    pub fn decode_to_sigma_min(
        &self,
        denoiser: &dyn Denoiser,
        condition: &Condition,
        x: &Tensor,
    ) -> Result<Tensor> {
        let above_zero = self.levels.reversed().reversed();
        self.follow(denoiser, condition, &above_zero, x)
    }

    /// The state at the end of `levels`, unwatched and without added noise.
    fn follow(
        &self,
        denoiser: &dyn Denoiser,
        condition: &Condition,
        levels: &Levels,
        x: &Tensor,
    ) -> Result<Tensor> {
        let x = x.to_dtype(widest_float(x.device()))?;
        let way = self.way(denoiser, condition, levels);
        way.run(x, &mut |_, _, _| Ok(()))
    }

    /// The way over `levels`, without added noise.
    fn way<'a>(
        &'a self,
        denoiser: &'a dyn Denoiser,
        condition: &'a Condition,
        levels: &'a Levels,
    ) -> Integration<'a> {
        Integration {
            solver: &*self.solver,
            denoiser,
            condition,
            levels,
            before: Vec::new(),
        }
    }

    /// The states that sampling starts from, one for each seed, `[seeds.len(), shape...]` at the highest level.
    ///
    /// # Errors
    ///
    /// A shape that does not hold N elements, and failures of the tensor backend.
    pub fn prior(
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
        let sigma_max = self.levels.sigma_max();
        let mut x = kernel.prior(shape, sigma_max, &mut rngs, widest_float(device), device)?;
        if self.temperature != 1.0 {
            x = (x * self.temperature)?;
        }
        let Some([low, high]) = self.prior_radius else {
            return Ok(x);
        };
        let norms = squared_norms(&x)?.into_iter().map(f64::sqrt);
        let factors: Vec<f64> = norms.map(|r| r.clamp(low, high) / r).collect();
        x.broadcast_mul(&column(&factors, &x)?)
    }

    /// What sampling starts from: [`Self::prior`], or the conditioning image.
    fn state(
        &self,
        condition: &Condition,
        kernel: &Kernel,
        shape: &[usize],
        seeds: &[u64],
        device: &Device,
    ) -> Result<Tensor> {
        match &self.start {
            None => self.prior(kernel, shape, seeds, device),
            Some(start) => start.state(condition, shape, device),
        }
    }

    /// The samples of the states `x`.
    fn fall(
        &self,
        denoiser: &dyn Denoiser,
        condition: &Condition,
        kernel: &Kernel,
        x: Tensor,
        seeds: &[u64],
        watch: &mut Watch,
    ) -> Result<Tensor> {
        let Some(start) = &self.start else {
            return self.fall_along(&self.levels, (denoiser, condition), kernel, x, seeds, watch);
        };
        let condition = start.told(condition, denoiser);
        let made = match start.levels(&self.levels) {
            None => start.step(denoiser, &condition, &x, watch)?,
            Some(levels) => {
                let asked = (denoiser, &condition);
                self.fall_along(&levels, asked, kernel, x.clone(), seeds, watch)?
            }
        };
        start.mixed(made, &x)
    }

    fn fall_along(
        &self,
        levels: &Levels,
        (denoiser, condition): (&dyn Denoiser, &Condition),
        kernel: &Kernel,
        x: Tensor,
        seeds: &[u64],
        watch: &mut Watch,
    ) -> Result<Tensor> {
        let mut way = self.way(denoiser, condition, levels);
        if self.injected_noise > 0.0 {
            let noise = InjectedNoise::new(self.injected_noise, seeds);
            way.before.push(Box::new(noise));
        }
        if let Some(config) = &self.churn {
            let churn = Churn::new(config, kernel, seeds, levels.num_steps());
            way.before.push(Box::new(churn));
        }
        if let Some(kappa) = self.to_schedule {
            way.before.push(Box::new(ToSchedule { kappa }));
        }
        way.run(x, watch)
    }
}
