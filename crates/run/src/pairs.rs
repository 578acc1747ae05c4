//! What a model of pairs is shown: held-out images, corrupted.

use candle_core::{Device, Tensor};
use pfgmpp_data::Dataset;
use pfgmpp_kernel::{Condition, SampleRng, Stream};
use pfgmpp_sampler::Corruption;

use crate::error::RunError;

/// The seed of what held-out images are shown as: the same for every run.
const SEED: u64 = 0;

/// Corrupted images `indices` of `data` `[B, C', H, W]`, each by its own place.
pub(crate) fn shown(
    corruption: Corruption,
    data: &Dataset,
    indices: &[usize],
    device: &Device,
) -> Result<Tensor, RunError> {
    let rng = |&i: &usize| SampleRng::new(SEED, Stream::Observation, i as u64);
    let mut rngs: Vec<SampleRng> = indices.iter().map(rng).collect();
    Ok(corruption.observe(&data.batch(indices, device)?, &mut rngs)?)
}

/// Held-out images that the samples of a run are conditioned on, one after the other.
pub(crate) struct Pairs {
    pub corruption: Corruption,
    pub held_out: Dataset,
    /// The seed of the first sample, which is shown the first image.
    pub first_seed: u64,
}

impl Pairs {
    /// `condition` with what the samples of `seeds` are shown.
    pub fn tell(
        &self,
        condition: Condition,
        seeds: &[u64],
        device: &Device,
    ) -> Result<Condition, RunError> {
        let num = self.held_out.num_images() as u64;
        let image = |seed: &u64| (seed.wrapping_sub(self.first_seed) % num) as usize;
        let indices: Vec<usize> = seeds.iter().map(image).collect();
        let shown = shown(self.corruption, &self.held_out, &indices, device)?;
        Ok(condition.with_image(shown)?)
    }
}
