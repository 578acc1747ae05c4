//! How far a trained model's estimates are off, by noise level: what its levels are read by.

use candle_core::Device;
use pfgmpp_data::Dataset;
use pfgmpp_kernel::{Condition, Denoiser};
use pfgmpp_sampler::SamplerConfig;
use pfgmpp_transfer::DenoisingError;

use crate::error::RunError;
use crate::observer::StopFlag;
use crate::stoppable::Stoppable;

/// Noise levels in an octave: the curve is smooth.
const PER_OCTAVE: f64 = 2.0;
/// Values that are denoised at each level, as far as the bounds on the images allow: the error of their sum is what
/// counts.
const VALUES: usize = 1 << 14;
/// The fewest and the most images.
const IMAGES: [usize; 2] = [64, 1024];

/// Measures `denoiser` on the first images of `data`, over the levels of `sampler`.
///
/// - `batch`: images at a time at most.
///
/// The number of images is that of 16,384 values, at least 64 and at most 1,024, or all that there are.
///
/// # Errors
///
/// Failures of the model, and [`RunError::Stopped`].
pub(crate) fn error_curve(
    denoiser: &dyn Denoiser,
    data: &Dataset,
    sampler: &SamplerConfig,
    batch: u64,
    device: &Device,
    stop: &StopFlag,
) -> Result<DenoisingError, RunError> {
    let n: usize = data.image_shape().iter().product();
    let images = (VALUES / n)
        .clamp(IMAGES[0], IMAGES[1])
        .min(data.num_images());
    let sigma = levels(sampler.schedule.sigma_min(), sampler.schedule.sigma_max());
    let denoiser = Stoppable::new(denoiser, stop);
    let mut error = vec![0.0; sigma.len()];
    let all: Vec<usize> = (0..images).collect();
    for (seed, indices) in all.chunks(batch.max(1) as usize).enumerate() {
        let y = data.batch(indices, device)?;
        let condition = condition(&denoiser, data, indices, device)?;
        let part = DenoisingError::measure(&denoiser, &y, &condition, &sigma, seed as u64);
        let share = indices.len() as f64 / images as f64;
        for (sum, part) in error.iter_mut().zip(stop.blame(part)?.error) {
            *sum += share * part;
        }
    }
    Ok(DenoisingError { sigma, error })
}

/// Levels from `low` to `high`, evenly in the logarithm.
fn levels(low: f64, high: f64) -> Vec<f64> {
    let steps = ((high / low).log2() * PER_OCTAVE).ceil().max(1.0);
    let level = |i: u32| low * (high / low).powf(f64::from(i) / steps);
    (0..=steps as u32).map(level).collect()
}

/// The classes of images, for a model that is told them.
fn condition(
    denoiser: &dyn Denoiser,
    data: &Dataset,
    indices: &[usize],
    device: &Device,
) -> Result<Condition, RunError> {
    let label_dim = denoiser.takes().label_dim;
    let labels = data.class_labels().ok().flatten();
    let (Some(labels), true) = (labels, label_dim > 0) else {
        return Ok(Condition::none());
    };
    let classes: Vec<usize> = indices
        .iter()
        .map(|&index| labels.values()[index] as usize)
        .collect();
    Ok(Condition::of_classes(&classes, label_dim, device)?)
}
