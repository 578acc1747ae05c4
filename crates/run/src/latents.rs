//! From data to the prior's level and back.

use candle_core::{DType, Device, Tensor};
use pfgmpp_config::ConfigError;
use pfgmpp_kernel::Condition;

use crate::error::RunError;
use crate::observer::StopFlag;
use crate::sampling_model::SamplingModel;
use crate::stoppable::Stoppable;

impl SamplingModel {
    /// The latent states of `seeds`: where their samples start, `[seeds.len(), C, H, W]`.
    ///
    /// # Errors
    ///
    /// Failures of the tensor backend.
    pub fn prior(&self, seeds: &[u64], device: &Device) -> Result<Tensor, RunError> {
        let sampler = self.sampler();
        Ok(sampler.prior(&self.kernel, &self.shape(), seeds, device)?)
    }

    /// The latent states of data `y` `[B, C, H, W]` under `condition`, taken as they are for states at the lowest level.
    ///
    /// # Errors
    ///
    /// Failures of the model, and [`RunError::Stopped`].
    pub fn encode(
        &self,
        y: &Tensor,
        condition: &Condition,
        stop: &StopFlag,
    ) -> Result<Tensor, RunError> {
        self.check_keeps_to_the_ode()?;
        let led = self.led()?;
        let found = self
            .sampler()
            .encode(&Stoppable::new(&*led, stop), condition, y);
        stop.blame(found)
    }

    /// The data of latent states `x` `[B, C, H, W]` under `condition`, in `f32`; no noise is added.
    ///
    /// - `to_zero`: down to level 0, where samples are; else to the lowest level above, where [`Self::encode`] took them
    ///   to be.
    ///
    /// # Errors
    ///
    /// Values that are not finite, failures of the model, and [`RunError::Stopped`].
    pub fn decode(
        &self,
        x: &Tensor,
        condition: &Condition,
        to_zero: bool,
        stop: &StopFlag,
    ) -> Result<Tensor, RunError> {
        self.check_keeps_to_the_ode()?;
        let led = self.led()?;
        let denoiser = Stoppable::new(&*led, stop);
        let sampler = self.sampler();
        let found = match to_zero {
            true => sampler.decode(&denoiser, condition, x),
            false => sampler.decode_to_sigma_min(&denoiser, condition, x),
        };
        let samples = stop.blame(found)?.to_dtype(DType::F32)?;
        crate::sampling_model::finite(samples)
    }

    /// The condition of states between those of `classes` and those of `next`, `[B]` each: the classes' labels mixed as
    /// the states are, at `t` from 0 to 1.
    ///
    /// # Errors
    ///
    /// Classes that the model does not have.
    pub fn condition_between(
        &self,
        classes: &[usize],
        next: &[usize],
        t: f64,
        device: &Device,
    ) -> Result<Condition, RunError> {
        let labels = |classes: &[usize]| -> Result<Option<Tensor>, RunError> {
            Ok(self.condition(Some(classes), device)?.labels().cloned())
        };
        Ok(match (labels(classes)?, labels(next)?) {
            (Some(first), Some(last)) => {
                let mixed = ((first * (1.0 - t))? + (last * t)?)?;
                Condition::none().with_labels(mixed)?
            }
            _ => Condition::none(),
        })
    }

    /// Refuses steps that leave the ODE, on which alone samples have latent states.
    fn check_keeps_to_the_ode(&self) -> Result<(), RunError> {
        match self.moves_to_schedule() {
            false => Ok(()),
            true => Err(ConfigError::new(
                "sampler",
                "self_timed.step: to_schedule moves samples off the ODE: keep_ratio has latent states",
            )
            .into()),
        }
    }
}
