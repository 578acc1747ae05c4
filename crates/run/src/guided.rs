//! The model that samples are drawn by: led away from another one, if there is guidance.

use candle_core::Device;
use pfgmpp_checkpoint::Model;
use pfgmpp_config::ConfigError;
use pfgmpp_kernel::Denoiser;
use pfgmpp_sampler::{Guided, WithoutClasses};
use pfgmpp_transfer::ParameterError;

use crate::error::RunError;
use crate::levels_shown::at_levels_shown;
use crate::sampling_model::SamplingModel;

impl SamplingModel {
    /// Loads the checkpoint that its guidance leads away from, if it names one.
    ///
    /// # Errors
    ///
    /// A checkpoint that cannot be read, or does not fit the model.
    pub fn with_reference(mut self, device: &Device) -> Result<Self, RunError> {
        let named = self.guidance.as_ref().and_then(|g| g.reference.clone());
        let Some(name) = named else {
            return Ok(self);
        };
        let refused = |message: String| {
            ConfigError::new("sampler", format!("guidance.reference {name}: {message}"))
        };
        let loaded = Model::load(name.as_ref(), device)?.at(self.kernel.d())?;
        let (shape, d) = (loaded.config.data.shape, loaded.config.d);
        if shape != self.shape {
            let want = self.shape;
            return Err(refused(format!("is of shape {shape:?}, the model of {want:?}")).into());
        }
        let (classes, own) = (loaded.denoiser.takes().label_dim, self.label_dim());
        if classes != 0 && classes != own {
            return Err(refused(format!("has {classes} classes, the model {own}")).into());
        }
        let timed = self.config.reads_levels().is_some();
        let denoiser = match self.kernel.d() == d && !timed {
            true => loaded.denoiser,
            false => at_levels_shown(
                loaded.denoiser,
                d,
                &self.kernel,
                loaded.moments,
                &self.config,
            )
            .map_err(|e| refused(e.to_string()))?,
        };
        self.reference = Some(match classes < own {
            true => Box::new(WithoutClasses(denoiser)),
            false => denoiser,
        });
        Ok(self)
    }

    /// The model that samples are drawn by: led to its classes, if there is guidance.
    pub(crate) fn led(&self) -> Result<Box<dyn Denoiser + '_>, RunError> {
        let model = &*self.denoiser;
        let Some(guidance) = &self.guidance else {
            return Ok(Box::new(model));
        };
        let refused = |e: ParameterError| ConfigError::new("sampler", e);
        Ok(match (&guidance.reference, &self.reference) {
            (None, _) => {
                let led = Guided::new(model, WithoutClasses(model), guidance.clone());
                Box::new(led.map_err(refused)?)
            }
            (Some(_), Some(reference)) => {
                let led = Guided::new(model, &**reference, guidance.clone());
                Box::new(led.map_err(refused)?)
            }
            (Some(name), None) => {
                let message = format!("guidance.reference {name}: has not been loaded");
                return Err(ConfigError::new("sampler", message).into());
            }
        })
    }
}
