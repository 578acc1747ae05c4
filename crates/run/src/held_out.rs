//! How well a model denoises data that it has not seen.

use candle_core::Device;
use pfgmpp_data::Dataset;
use pfgmpp_kernel::{SampleRng, Stream, in_f64, widest_float};

use crate::error::RunError;
use crate::sampling_model::SamplingModel;

/// Noise levels of the measure, in units of the data.
const SIGMAS: [f64; 6] = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0];
/// Data it is taken over at most, and how many at a time.
const MOST: usize = 512;
const BATCH: usize = 128;

/// Root-mean-square error of the model's estimates of held-out data, in units of the data.
///
/// ```text
/// sqrt(E |D(x; sigma) - y|² / N),   x ~ p_r(.|y) at the D of the samples,   sigma in {0.1, 0.2, 0.5, 1, 2, 5}
/// ```
///
/// The noise is the same for every model of the same `seed`. Unlike a training loss it compares between
/// preconditionings; between D it does not, because the noise differs.
///
/// # Errors
///
/// Failures of the model.
pub(crate) fn denoising_error(
    model: &SamplingModel,
    held_out: &Dataset,
    seed: u64,
    device: &Device,
) -> Result<f64, RunError> {
    let count = held_out.num_images().min(MOST);
    let indices: Vec<usize> = (0..count).collect();
    let mut total = 0.0;
    for (level, sigma) in SIGMAS.iter().enumerate() {
        for batch in indices.chunks(BATCH) {
            let y = held_out.batch(batch, device)?;
            let y = y.to_dtype(widest_float(device))?;
            let first = (level * MOST + batch[0]) as u64;
            let mut rngs = SampleRng::batch(seed, Stream::Metric, first, batch.len());
            let sigma = vec![*sigma; batch.len()];
            let error = (model.denoise_perturbed(&y, &sigma, &mut rngs)? - y)?;
            total += in_f64(&error)?.sqr()?.sum_all()?.to_scalar::<f64>()?;
        }
    }
    let values = SIGMAS.len() * count * held_out.n();
    Ok((total / values as f64).sqrt())
}
