//! Drawing with a model: samples, paths, estimates.

use candle_core::{Device, Tensor};
use pfgmpp_kernel::{Condition, Denoiser, Query, SampleRng};
use pfgmpp_sampler::Trajectory;

use super::{SamplingModel, finite};
use crate::error::RunError;
use crate::observer::StopFlag;
use crate::stoppable::Stoppable;

impl SamplingModel {
    /// Draws one sample for each of `seeds`, `[seeds.len(), C, H, W]`.
    ///
    /// # Errors
    ///
    /// Samples that are not finite, and failures of the model.
    pub fn sample(&self, seeds: &[u64], device: &Device) -> Result<Tensor, RunError> {
        self.sample_until(seeds, device, &StopFlag::default())
    }

    /// As [`Self::sample`], until `stop` is raised.
    ///
    /// # Errors
    ///
    /// As [`Self::sample`], and [`RunError::Stopped`].
    pub fn sample_until(
        &self,
        seeds: &[u64],
        device: &Device,
        stop: &StopFlag,
    ) -> Result<Tensor, RunError> {
        let (led, kernel) = (self.led()?, &self.kernel);
        let led = Stoppable::new(&*led, stop);
        let told = self.told(&led)?;
        let denoiser = Stoppable::new(&*told, stop);
        let condition = self.condition_of(seeds, device)?;
        let samples =
            self.sampler
                .sample(&denoiser, &condition, kernel, &self.shape, seeds, device);
        finite(stop.blame(samples)?)
    }

    /// `model` told of what was observed, if anything was.
    fn told<'a>(&self, model: &'a dyn Denoiser) -> Result<Box<dyn Denoiser + 'a>, RunError> {
        match &self.restoring {
            None => Ok(Box::new(model)),
            Some(restoring) => {
                restoring.wrap(model, self.shown_by, self.kernel.d(), self.data.as_ref())
            }
        }
    }

    /// What the model is told of the samples of `seeds`.
    fn condition_of(&self, seeds: &[u64], device: &Device) -> Result<Condition, RunError> {
        let condition = self.condition(self.classes(seeds).as_deref(), device)?;
        match (&self.restoring, &self.pairs) {
            (None, None) => Ok(condition),
            (None, Some(pairs)) => pairs.tell(condition, seeds, device),
            (Some(restoring), _) => restoring.tell(condition, seeds, device),
        }
    }

    /// What the model is told of samples of `classes`; nothing for `None`.
    ///
    /// # Errors
    ///
    /// Classes that the model does not have.
    pub fn condition(
        &self,
        classes: Option<&[usize]>,
        device: &Device,
    ) -> Result<Condition, RunError> {
        Ok(match classes {
            None => Condition::none(),
            Some(classes) => Condition::of_classes(classes, self.label_dim(), device)?,
        })
    }

    /// Estimates data `y` `[B, C, H, W]` under `condition` from what the kernel makes of them at `sigma` `[B]`.
    ///
    /// # Errors
    ///
    /// Failures of the model.
    pub(crate) fn denoise_perturbed(
        &self,
        y: &Tensor,
        condition: &Condition,
        sigma: &[f64],
        rngs: &mut [SampleRng],
    ) -> Result<Tensor, RunError> {
        let x = self.kernel.perturb(y, sigma, rngs)?;
        let query = Query::new(&x, sigma).under(condition);
        Ok(self.denoiser.denoise(&query)?)
    }

    /// The paths of one sample for each of `seeds`, until `stop` is raised.
    ///
    /// # Errors
    ///
    /// Failures of the model, and [`RunError::Stopped`].
    pub fn trace(
        &self,
        seeds: &[u64],
        device: &Device,
        stop: &StopFlag,
    ) -> Result<Vec<Trajectory>, RunError> {
        let (led, kernel) = (self.led()?, &self.kernel);
        let led = Stoppable::new(&*led, stop);
        let told = self.told(&led)?;
        let denoiser = Stoppable::new(&*told, stop);
        let condition = self.condition_of(seeds, device)?;
        let paths = self
            .sampler
            .trace(&denoiser, &condition, kernel, &self.shape, seeds, device);
        stop.blame(paths)
    }
}
