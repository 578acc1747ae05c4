//! A model on data that it has not seen, as metrics ask it.

use std::error::Error;

use candle_core::{Device, Tensor};
use pfgmpp_data::Dataset;
use pfgmpp_kernel::{SampleRng, widest_float};
use pfgmpp_metrics::HeldOutDenoiser;

use crate::error::RunError;
use crate::sampling_model::SamplingModel;

/// A model and held-out data to denoise.
pub(crate) struct HeldOut<'a> {
    pub model: &'a SamplingModel,
    pub data: &'a Dataset,
    pub device: &'a Device,
}

impl HeldOut<'_> {
    fn errors(
        &self,
        batch: &[usize],
        sigma: f64,
        rngs: &mut [SampleRng],
    ) -> Result<Tensor, RunError> {
        let y = self.data.batch(batch, self.device)?;
        let y = y.to_dtype(widest_float(self.device))?;
        let sigma = vec![sigma; batch.len()];
        Ok((self.model.denoise_perturbed(&y, &sigma, rngs)? - y)?)
    }
}

impl HeldOutDenoiser for HeldOut<'_> {
    fn len(&self) -> usize {
        self.data.num_images()
    }

    fn errors(
        &self,
        indices: &[usize],
        sigma: f64,
        rngs: &mut [SampleRng],
    ) -> Result<Tensor, Box<dyn Error + Send + Sync>> {
        Ok(self.errors(indices, sigma, rngs)?)
    }
}
