//! The best few noise levels for a model and its solver.

use candle_core::{DType, Device};
use pfgmpp_config::ConfigError;
use pfgmpp_sampler::{GridTrajectories, Heun, Integration, LevelSearch};
use pfgmpp_transfer::{EdmSchedule, Levels, ParameterError, Schedule};

use crate::error::RunError;
use crate::observer::StopFlag;
use crate::sampling_model::SamplingModel;
use crate::stoppable::Stoppable;

/// Noise levels that were searched for.
pub struct FoundLevels {
    /// The levels, falling to 0.
    pub levels: Vec<f64>,
    /// How far samples end from the model's own trajectories over them: the root of the mean square, in units of the
    /// data, on trajectories that were not searched by.
    pub rms_error: f64,
    /// The same over the levels that the sampler had.
    pub rms_error_before: f64,
}

impl SamplingModel {
    /// The `num_steps` noise levels over which its solver strays least from the model's own trajectories.
    ///
    /// - `grid`: levels of the fine grid.
    /// - `seeds`: of the trajectories, half of them to search by and half to compare on.
    ///
    /// # Errors
    ///
    /// A solver or a number of steps for which levels cannot be searched, failures of the model, and
    /// [`RunError::Stopped`].
    pub fn search_levels(
        &self,
        num_steps: usize,
        grid: usize,
        seeds: &[u64],
        device: &Device,
        stop: &StopFlag,
    ) -> Result<FoundLevels, RunError> {
        let led = self.led()?;
        let denoiser = Stoppable::new(&*led, stop);
        let refused = |e: ParameterError| ConfigError::new("sampler", e);
        let fine = self.fine_grid(grid).map_err(refused)?;
        let search = LevelSearch {
            solver: self.sampler().solver(),
            grid: &fine,
        };
        search.check(num_steps).map_err(refused)?;
        let follow = |seeds: &[u64]| -> Result<_, RunError> {
            let condition = self.condition(self.classes(seeds).as_deref(), device)?;
            let x = self
                .sampler()
                .prior(&self.kernel, &self.shape(), seeds, device)?;
            let met = GridTrajectories::follow(&Heun, &denoiser, &condition, &fine, x.clone());
            Ok((stop.blame(met)?, condition, x))
        };
        let (learn, check) = seeds.split_at(seeds.len().div_ceil(2));
        let (met, ..) = follow(learn)?;
        let levels = search.find(&met, num_steps)?;
        let (met, condition, x) = follow(if check.is_empty() { learn } else { check })?;
        let rms_error = |levels: Levels| -> Result<f64, RunError> {
            let way = Integration {
                solver: self.sampler().solver(),
                denoiser: &denoiser,
                condition: &condition,
                levels: &levels,
                before: Vec::new(),
            };
            let end = stop.blame(way.run(x.clone(), &mut |_, _, _| Ok(())))?;
            let square = (end - met.end())?.sqr()?.mean_all()?.to_dtype(DType::F64)?;
            Ok(square.to_scalar::<f64>()?.sqrt())
        };
        Ok(FoundLevels {
            rms_error: rms_error(Levels::new(levels.clone()).map_err(refused)?)?,
            rms_error_before: rms_error(self.sampler().levels().clone())?,
            levels,
        })
    }

    /// Levels that trajectories are followed over: many, between the ends of the sampler's own.
    fn fine_grid(&self, num: usize) -> Result<Levels, ParameterError> {
        let own = self.sampler().levels().as_slice().iter();
        let lowest = own
            .copied()
            .filter(|s| *s > 0.0)
            .fold(f64::INFINITY, f64::min);
        let edm = EdmSchedule {
            num_steps: num,
            sigma_min: lowest,
            sigma_max: self.sampler().levels().sigma_max(),
            rho: 7.0,
        };
        Schedule::Edm(edm).levels()
    }
}
