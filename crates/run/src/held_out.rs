//! A model on data that it has not seen, as metrics ask it.

use std::error::Error;

use candle_core::{Device, Tensor};
use pfgmpp_data::Dataset;
use pfgmpp_kernel::{SampleRng, widest_float};
use pfgmpp_metrics::{DenoisingError, HeldOutDenoiser, Inputs, Metric};
use pfgmpp_sampler::{ProbeKind, Trace};

use crate::error::RunError;
use crate::likelihood::{DataLikelihood, LIKELIHOOD_SOLVER};
use crate::observer::StopFlag;
use crate::pairs::shown;
use crate::sampling_model::SamplingModel;

/// Likelihoods taken at a time, each of which takes the memory of a training sample.
const BATCH: usize = 32;
/// Values of images that are denoised at a time: large images come in smaller batches than small ones.
const AT_A_TIME: usize = 1 << 19;

/// A model and held-out data to denoise.
pub(crate) struct HeldOut<'a> {
    pub model: &'a SamplingModel,
    pub data: &'a Dataset,
    /// The class of each image, as [`classes_of`] has it.
    pub classes: Option<Vec<usize>>,
    pub device: &'a Device,
    pub stop: &'a StopFlag,
}

impl HeldOut<'_> {
    fn errors(
        &self,
        batch: &[usize],
        sigma: f64,
        rngs: &mut [SampleRng],
    ) -> Result<Tensor, RunError> {
        let at_a_time = (AT_A_TIME / self.data.n()).max(1);
        let parts = batch.chunks(at_a_time).zip(rngs.chunks_mut(at_a_time));
        let parts = parts.map(|(batch, rngs)| self.errors_of_few(batch, sigma, rngs));
        Ok(Tensor::cat(&parts.collect::<Result<Vec<_>, _>>()?, 0)?)
    }

    fn errors_of_few(
        &self,
        batch: &[usize],
        sigma: f64,
        rngs: &mut [SampleRng],
    ) -> Result<Tensor, RunError> {
        if self.stop.is_raised() {
            return Err(RunError::Stopped);
        }
        let y = self.data.batch(batch, self.device)?;
        let y = y.to_dtype(widest_float(self.device))?;
        let sigma = vec![sigma; batch.len()];
        let classes = self.classes.as_deref().map(|classes| pick(classes, batch));
        let mut condition = self.model.condition(classes.as_deref(), self.device)?;
        if let Some(pairs) = self.model.shown() {
            let shown = shown(pairs, self.data, batch, self.device)?;
            condition = condition.with_image(shown)?;
        }
        let estimate = self.model.denoise_perturbed(&y, &condition, &sigma, rngs)?;
        Ok((estimate - y)?)
    }
}

/// The error of `model` on held-out data, as the score `denoising_error` of the same seed.
pub(crate) fn denoising_error(
    model: &SamplingModel,
    data: &Dataset,
    seed: u64,
    device: &Device,
    stop: &StopFlag,
) -> Result<f64, RunError> {
    let held_out = HeldOut {
        classes: classes_of(model, data, seed),
        model,
        data,
        device,
        stop,
    };
    let inputs = Inputs {
        denoiser: Some(&held_out),
        seed,
        ..Inputs::default()
    };
    Ok(stop.blame(DenoisingError.evaluate(&inputs))?.value)
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

    fn nll(&self, indices: &[usize], seed: u64) -> Result<Vec<f64>, Box<dyn Error + Send + Sync>> {
        let kind = ProbeKind::Rademacher;
        let likelihood = DataLikelihood {
            model: self.model,
            data: self.data,
            solver: &LIKELIHOOD_SOLVER,
            trace: Trace::Hutchinson { probes: 1, kind },
            seed,
            dequantize: false,
            batch_size: BATCH,
            device: self.device,
        };
        let items = likelihood.of(indices, self.stop, |_| {})?;
        let n = self.data.n() as f64;
        let items = items.ok_or(RunError::Stopped)?;
        Ok(items.into_iter().map(|item| -item.ln_p / n).collect())
    }
}

/// Whether the classes of `data` are those of `model`, as far as their number tells.
pub(crate) fn has_classes_of(data: &Dataset, model: &SamplingModel) -> bool {
    model.label_dim() > 0 && data.num_classes() == model.label_dim()
}

/// The class of each image: its own, or where the data do not have the classes of the model one as samples are drawn
/// of; `None` for a model without any.
pub(crate) fn classes_of(model: &SamplingModel, data: &Dataset, seed: u64) -> Option<Vec<usize>> {
    let own = data.class_labels().ok().flatten();
    match own {
        Some(own) if has_classes_of(data, model) => {
            Some(own.values().iter().map(|&class| class as usize).collect())
        }
        _ => {
            let seeds = (0..data.num_images() as u64).map(|index| seed.wrapping_add(index));
            model.classes(&seeds.collect::<Vec<_>>())
        }
    }
}

/// The classes at `indices`.
pub(crate) fn pick(classes: &[usize], indices: &[usize]) -> Vec<usize> {
    indices.iter().map(|&index| classes[index]).collect()
}
