//! Images without content, for timing a network on data of any shape.

use candle_core::{Device, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::dataset::{DataError, Dataset};
use crate::source::Splits;

/// Channels that a picture can show.
const CHANNELS: [usize; 2] = [1, 3];
/// The largest side.
const MAX_SIZE: usize = 4096;
/// The most values, 2 GiB of them.
const MAX_VALUES: usize = 1 << 29;

/// `num` images of `shape` `[C, H, W]` with pixels uniform in `[-1, 1)`, the same in every call; image
/// `i` is held out when `i % 5 == 4`.
pub(crate) fn splits(shape: [usize; 3], num: usize) -> Result<Splits, DataError> {
    let [channels, height, width] = shape;
    let values = shape
        .iter()
        .try_fold(num, |product, &size| product.checked_mul(size));
    let sides = [height, width]
        .iter()
        .all(|side| (1..=MAX_SIZE).contains(side));
    let in_range = CHANNELS.contains(&channels) && sides && num >= 5;
    let Some(values) = values.filter(|values| in_range && *values <= MAX_VALUES) else {
        return Err(DataError::Noise { shape, num });
    };
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    // 24 random bits: every value is a multiple of 2^-23 and exact in `f32`.
    let mut pixel = || (rng.next_u32() >> 8) as f32 * 2f32.powi(-23) - 1.0;
    let pixels: Vec<f32> = (0..values).map(|_| pixel()).collect();
    let images = Tensor::from_vec(pixels, (num, channels, height, width), &Device::Cpu)?;
    let all = Dataset::new("noise", &images, None)?;
    let (held_out, train): (Vec<usize>, Vec<usize>) = (0..num).partition(|index| index % 5 == 4);
    Ok(Splits {
        train: all.subset("noise/train", &train)?,
        held_out: all.subset("noise/held_out", &held_out)?,
    })
}

#[cfg(test)]
mod tests {
    use crate::DataSource;

    #[test]
    fn noise_has_the_shape_asked_for_and_is_the_same_each_time() {
        let source = DataSource::Noise {
            shape: [3, 4, 6],
            num: 10,
        };
        let first = source.load().unwrap();
        assert_eq!(first.train.image_shape(), [3, 4, 6]);
        let counts = (first.train.num_images(), first.held_out.num_images());
        assert_eq!(counts, (8, 2));
        let again = source.load().unwrap();
        let values = |data: &crate::Dataset| {
            let flat = data.images().flatten_all().unwrap();
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
            ([1, 8, 8], 4),
            ([4096, 4096, 4096], 1 << 40),
        ] {
            let error = DataSource::Noise { shape, num }.load().unwrap_err();
            assert!(error.is_bad_input(), "got {error}");
            assert!(error.to_string().contains("from 1 to 4096"), "got {error}");
        }
    }
}
