//! What a model of pairs is shown: held-out images, corrupted, or those beside them.

use candle_core::{Device, Tensor};
use pfgmpp_data::{DataError, Dataset};
use pfgmpp_kernel::{Condition, SampleRng, Stream};
use pfgmpp_sampler::Corruption;
use pfgmpp_train::Shown;

use crate::error::RunError;

/// The seed of what held-out images are shown as: the same for every run.
const SEED: u64 = 0;

/// What a network is shown of the images `indices` of `data` `[B, C', H, W]`: those beside them, or themselves, each
/// corrupted by its own place.
pub(crate) fn shown(
    which: Shown,
    data: &Dataset,
    indices: &[usize],
    device: &Device,
) -> Result<Tensor, RunError> {
    let corruption = match which {
        Shown::Corrupted(corruption) => corruption,
        Shown::Paired => {
            let name = || DataError::NotPaired(data.name().to_string());
            return Ok(data.input().ok_or_else(name)?.batch(indices, device)?);
        }
    };
    let rng = |&i: &usize| SampleRng::new(SEED, Stream::Observation, i as u64);
    let mut rngs: Vec<SampleRng> = indices.iter().map(rng).collect();
    Ok(corruption.observe(&data.batch(indices, device)?, &mut rngs)?)
}

/// Images that samples are conditioned on, one after the other.
pub(crate) struct Pairs {
    pub images: Images,
    /// The seed of the first sample, which is shown the first image.
    pub first_seed: u64,
}

/// Where those images come from.
pub(crate) enum Images {
    /// What is shown of held-out images.
    HeldOut(Shown, Dataset),
    /// Images that were given, `[num, C', H, W]`.
    Given(Tensor),
}

impl Pairs {
    /// The shape of what a sample is shown, `[C', H, W]`, if it is an image and not one with its mask.
    pub fn image_shape(&self) -> Option<[usize; 3]> {
        match &self.images {
            Images::Given(images) => images.dims()[1..].try_into().ok(),
            Images::HeldOut(Shown::Paired, data) => Some(data.input()?.image_shape()),
            Images::HeldOut(Shown::Corrupted(Corruption::Mask(_)), _) => None,
            Images::HeldOut(Shown::Corrupted(_), data) => Some(data.image_shape()),
        }
    }

    /// `condition` with what the samples of `seeds` are shown.
    pub fn tell(
        &self,
        condition: Condition,
        seeds: &[u64],
        device: &Device,
    ) -> Result<Condition, RunError> {
        let num = match &self.images {
            Images::HeldOut(_, data) => data.num_images(),
            Images::Given(images) => images.dim(0)?,
        };
        let image = |seed: &u64| (seed.wrapping_sub(self.first_seed) % num as u64) as usize;
        let indices: Vec<usize> = seeds.iter().map(image).collect();
        let shown = match &self.images {
            Images::HeldOut(which, data) => shown(*which, data, &indices, device)?,
            Images::Given(images) => {
                let index: Vec<i64> = indices.iter().map(|&index| index as i64).collect();
                let index = Tensor::new(index.as_slice(), images.device())?;
                images.index_select(&index, 0)?.to_device(device)?
            }
        };
        Ok(condition.with_image(shown)?)
    }
}
