//! From data to the prior's level and back.

use candle_core::{DType, Device, Tensor};
use pfgmpp_config::ConfigError;

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

    /// The latent states of data `y` `[B, C, H, W]` of `classes` `[B]`, taken as they are for states at the lowest level.
    ///
    /// # Errors
    ///
    /// Failures of the model, and [`RunError::Stopped`].
    pub fn encode(
        &self,
        y: &Tensor,
        classes: Option<&[usize]>,
        stop: &StopFlag,
    ) -> Result<Tensor, RunError> {
        self.check_keeps_to_the_ode()?;
        let led = self.led()?;
        let condition = self.condition(classes, y.device())?;
        let found = self
            .sampler()
            .encode(&Stoppable::new(&*led, stop), &condition, y);
        stop.blame(found)
    }

    /// The data of latent states `x` `[B, C, H, W]` of `classes` `[B]`, in `f32`; no noise is added.
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
        classes: Option<&[usize]>,
        to_zero: bool,
        stop: &StopFlag,
    ) -> Result<Tensor, RunError> {
        self.check_keeps_to_the_ode()?;
        let led = self.led()?;
        let condition = self.condition(classes, x.device())?;
        let denoiser = Stoppable::new(&*led, stop);
        let sampler = self.sampler();
        let found = match to_zero {
            true => sampler.decode(&denoiser, &condition, x),
            false => sampler.decode_to_sigma_min(&denoiser, &condition, x),
        };
        let samples = stop.blame(found)?.to_dtype(DType::F32)?;
        crate::sampling_model::finite(samples)
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
