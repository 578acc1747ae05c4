//! The order in which training sees the images.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::dataset::Dataset;

/// The image order of a training run: a function of the seed and the images seen so far.
///
/// Epoch `e` is a permutation of the data set drawn from ChaCha8 stream `e`, so every image is
/// seen once an epoch, and a resumed run goes on where it stopped with no saved state.
#[derive(Clone, Debug)]
pub struct Shuffle {
    seed: u64,
    epoch: u64,
    /// The permutation of `epoch`; never empty, because no data set is.
    order: Vec<usize>,
}

impl Shuffle {
    /// The order of `dataset`'s images under `seed`.
    pub fn new(dataset: &Dataset, seed: u64) -> Self {
        let order = permutation(dataset.num_images(), seed, 0);
        Self {
            seed,
            epoch: 0,
            order,
        }
    }

    /// The indices of the batch that follows after `nimg` images, `batch_size` of them.
    ///
    /// A batch may run across the border of two epochs. `&mut` is for the cached permutation of
    /// one epoch only: the answer depends on nothing but the seed and the arguments.
    pub fn indices(&mut self, nimg: u64, batch_size: usize) -> Vec<usize> {
        let num_images = self.order.len() as u64;
        let seen = nimg..nimg + batch_size as u64;
        seen.map(|position| {
            self.turn_to(position / num_images);
            self.order[(position % num_images) as usize]
        })
        .collect()
    }

    fn turn_to(&mut self, epoch: u64) {
        if epoch != self.epoch {
            self.order = permutation(self.order.len(), self.seed, epoch);
            self.epoch = epoch;
        }
    }
}

fn permutation(num_images: usize, seed: u64, epoch: u64) -> Vec<usize> {
    // The tag keeps these draws apart from every other use of the same seed.
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(b"shuffle\0");
    let mut rng = ChaCha8Rng::from_seed(key);
    rng.set_stream(epoch);
    let mut order: Vec<usize> = (0..num_images).collect();
    order.shuffle(&mut rng);
    order
}
