//! How far a trained model's estimates are off, by noise level: what its levels are read by.

use candle_core::Device;
use pfgmpp_data::Dataset;
use pfgmpp_kernel::{Condition, Denoiser, Dimension, Kernel, Query, SampleRng, Stream, in_f64};
use pfgmpp_sampler::SamplerConfig;
use pfgmpp_train::Shown;
use pfgmpp_transfer::DenoisingError;

use crate::error::RunError;
use crate::observer::StopFlag;
use crate::pairs::shown;
use crate::stoppable::Stoppable;

/// What its noise is for: the same of an image and a level whatever the batch.
const NAME: &str = "error_curve";
/// Noise levels in an octave: the curve is smooth.
const PER_OCTAVE: f64 = 2.0;
/// Values that are denoised at each level, as far as the bounds on the images allow: the error of their sum is what
/// counts.
const VALUES: usize = 1 << 14;
/// The fewest and the most images.
const IMAGES: [usize; 2] = [64, 1024];

/// Measures `denoiser` on images of `data`, evenly spaced, over the levels of `sampler`.
///
/// - `pairs`: what a denoiser of pairs is shown of them.
/// - `batch`: images at a time at most; it changes no error.
///
/// The number of images is that of 16,384 values, at least 64 and at most 1,024, or all that there are.
///
/// # Errors
///
/// Failures of the model, and [`RunError::Stopped`].
pub(crate) fn error_curve(
    denoiser: &dyn Denoiser,
    pairs: Option<Shown>,
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
    let kernel = Kernel::new(n, Dimension::Infinite)?;
    let denoiser = Stoppable::new(denoiser, stop);
    let mut error = vec![0.0; sigma.len()];
    // Evenly over all: images of a folder stand class by class.
    let all: Vec<usize> = (0..images)
        .map(|i| i * data.num_images() / images)
        .collect();
    for indices in all.chunks(batch.max(1) as usize) {
        let y = data.batch(indices, device)?;
        let mut condition = condition(&denoiser, data, indices, device)?;
        if let Some(pairs) = pairs {
            condition = condition.with_image(shown(pairs, data, indices, device)?)?;
        }
        for (level, (error, &sigma)) in error.iter_mut().zip(&sigma).enumerate() {
            let rng = |&i: &usize| SampleRng::new(level as u64, Stream::score(NAME), i as u64);
            let mut rngs: Vec<SampleRng> = indices.iter().map(rng).collect();
            let levels = vec![sigma; indices.len()];
            let x = kernel.perturb(&y, &levels, &mut rngs)?;
            let found = denoiser.denoise(&Query::new(&x, &levels).under(&condition));
            let missed = in_f64(&(stop.blame(found)? - &y)?)?;
            *error += missed.sqr()?.sum_all()?.to_scalar::<f64>()? / images as f64;
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

#[cfg(test)]
mod tests {
    use pfgmpp_config::yaml::parse_value;
    use pfgmpp_data::DataSource;
    use pfgmpp_kernel::ExactPosterior;

    use super::*;

    #[test]
    fn the_error_does_not_depend_on_the_batch() {
        let splits = DataSource::Digits.load().unwrap();
        let exact =
            ExactPosterior::new(&splits.train.images().unwrap(), Dimension::Infinite).unwrap();
        let edm = "{num_steps: 3, sigma_min: 0.5, sigma_max: 4.0, rho: 7.0}";
        let sampler: SamplerConfig = parse_value(
            &format!("{{solver: heun, schedule: {{edm: {edm}}}}}"),
            "a test",
        )
        .unwrap();
        let curve = |batch| {
            let (data, stop) = (&splits.held_out, StopFlag::default());
            error_curve(&exact, None, data, &sampler, batch, &Device::Cpu, &stop).unwrap()
        };
        let (few, many) = (curve(7), curve(1000));
        let [first, .., last] = few.sigma[..] else {
            panic!("got {few:?}");
        };
        // Three octaves, two levels in each.
        assert_eq!((few.sigma.len(), first, last), (7, 0.5, 4.0));
        for (few, many) in few.error.iter().zip(&many.error) {
            assert!((few / many - 1.0).abs() < 1e-9, "got {few} and {many}");
        }
        // What is not known of a digit grows with the noise, up to the data's own spread, 19.
        assert!(
            many.error.windows(2).all(|pair| pair[0] < pair[1]),
            "got {many:?}"
        );
        assert!((10.0..22.0).contains(&many.error[6]), "got {many:?}");
    }
}
