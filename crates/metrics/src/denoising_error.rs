//! How well a model denoises data that it has not seen.

use pfgmpp_kernel::{SampleRng, Stream, in_f64};

use crate::inputs::{Inputs, Need};
use crate::metric::{Better, Description, Estimate, Metric};
use crate::samples::MetricError;

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
/// The noise is the same for every model of the same seed. Unlike a training loss it compares between
/// preconditionings; between D it does not, because the noise differs.
pub struct DenoisingError;

impl Metric for DenoisingError {
    fn description(&self) -> Description {
        Description {
            name: "denoising_error",
            label: "denoising error",
            short: "denoising",
            unit: "units of the data",
            meaning: "root-mean-square error of the model's estimates of noisy held-out images; it compares models \
                      of one D, because the noise differs between D",
            better: Better::Lower,
            across_d: false,
        }
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Denoiser]
    }

    fn evaluate(&self, inputs: &Inputs<'_>) -> Result<Estimate, MetricError> {
        let denoiser = inputs.denoiser()?;
        let count = denoiser.len().min(MOST);
        let indices: Vec<usize> = (0..count).collect();
        let (mut total, mut values) = (0.0, 0);
        for (level, sigma) in SIGMAS.iter().enumerate() {
            for batch in indices.chunks(BATCH) {
                let first = (level * MOST + batch[0]) as u64;
                // Older than streams of one score each: see `Stream::Metric`.
                let mut rngs = SampleRng::batch(inputs.seed, Stream::Metric, first, batch.len());
                let error = denoiser.errors(batch, *sigma, &mut rngs);
                let error = error.map_err(MetricError::Denoiser)?;
                values += error.elem_count();
                total += in_f64(&error)?.sqr()?.sum_all()?.to_scalar::<f64>()?;
            }
        }
        Ok((total / values as f64).sqrt().into())
    }
}
