//! Images without content, for timing a network on data of any shape.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::error::DataError;
use crate::labels::Labels;
use crate::source::Source;
use crate::splits::{Divided, MIN_IMAGES, Splits};

/// Channels that a picture can show.
const CHANNELS: [usize; 2] = [1, 3];
/// The largest side.
const MAX_SIZE: usize = 4096;
/// The most values, 2 GiB of them.
const MAX_VALUES: usize = 1 << 29;

/// Images of uniform noise in `[-1, 1)`, without content, the same in every call: they time a network on data
/// of any shape (`pfgmpp bench`). Image `i` is held out when `i % 5 == 4`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noise {
    /// The shape of an image, `[C, H, W]`: 1 or 3 channels, sides from 1 to 4096.
    pub shape: [usize; 3],
    /// The number of images, at least 10; all together have up to 2^29 values.
    pub num: usize,
}

impl Noise {
    fn check(&self) -> Result<(), DataError> {
        let Self { shape, num } = *self;
        let values = shape
            .iter()
            .try_fold(num, |product, &size| product.checked_mul(size));
        let in_range = CHANNELS.contains(&shape[0])
            && shape[1..].iter().all(|side| (1..=MAX_SIZE).contains(side))
            && num >= MIN_IMAGES;
        match values {
            Some(values) if in_range && values <= MAX_VALUES => Ok(()),
            _ => Err(DataError::Noise { shape, num }),
        }
    }
}

impl Source for Noise {
    fn name(&self) -> String {
        "noise".to_string()
    }

    fn load(&self) -> Result<Splits, DataError> {
        self.check()?;
        let n: usize = self.shape.iter().product();
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        // 24 random bits: every value is a multiple of 2^-23 and exact in `f32`.
        let mut pixel = || (rng.next_u32() >> 8) as f32 * 2f32.powi(-23) - 1.0;
        let mut noise = Divided::new(self.name(), self.shape, self.num);
        for _ in 0..self.num {
            noise.next_image().extend((0..n).map(|_| pixel()));
        }
        noise.finish(&Labels::Absent)
    }
}

#[cfg(test)]
mod tests {
    use crate::{DataSource, Noise};

    #[test]
    fn noise_has_the_shape_asked_for_and_is_the_same_each_time() {
        let source = DataSource::Noise(Noise {
            shape: [3, 4, 6],
            num: 10,
        });
        let first = source.load().unwrap();
        assert_eq!(first.train.image_shape(), [3, 4, 6]);
        let counts = (first.train.num_images(), first.held_out.num_images());
        assert_eq!(counts, (8, 2));
        let again = source.load().unwrap();
        let values = |data: &crate::Dataset| {
            let flat = data.images().unwrap().flatten_all().unwrap();
            flat.to_vec1::<f32>().unwrap()
        };
        assert_eq!(values(&first.train), values(&again.train));
    }

    #[test]
    fn sizes_that_no_network_has_are_refused() {
        for (shape, num) in [
            ([0, 8, 8], 10),
            ([5, 8, 8], 10),
            ([1, 0, 8], 10),
            ([1, 8, 8], 9),
            ([4096, 4096, 4096], 1 << 40),
        ] {
            let error = DataSource::Noise(Noise { shape, num }).load().unwrap_err();
            assert!(error.is_bad_input(), "got {error}");
            assert!(error.to_string().contains("from 1 to 4096"), "got {error}");
        }
    }
}
