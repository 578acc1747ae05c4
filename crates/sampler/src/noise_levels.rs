//! The noise that images show.

use candle_core::{DType, Result, Tensor, bail};

/// The third quartile of the standard normal distribution: the median of `|n|`, `n ~ N(0, 1)`.
const MEDIAN_OF_NORMAL: f64 = 0.674_489_750_196_081_7;
/// Details of an image below which their median says little.
const FEWEST: usize = 16;

/// The standard deviation of the noise of each image of `images` `[B, C, H, W]`, in units of their values, by the median of the
/// finest diagonal details of Haar's wavelets:
///
/// ```text
/// d = (x[2i, 2j] - x[2i, 2j+1] - x[2i+1, 2j] + x[2i+1, 2j+1]) / 2,   sigma = median |d| / 0.6745
/// ```
///
/// The image behind the noise leaves little in most details, and the median does not heed the few with edges. It is the level of noise
/// that is independent from pixel to pixel: of smoothed noise, and of one that is cut off at the ends of the range, it is too low, of
/// images with fine texture too high. A last row or column without a partner is left out.
///
/// Source: Donoho & Johnstone 1994, Biometrika 81(3), 425-455.
///
/// # Errors
///
/// Fewer than 16 details an image, another rank.
pub fn noise_levels(images: &Tensor) -> Result<Vec<f64>> {
    let (num, channels, height, width) = images.dims4()?;
    let (rows, columns) = (height / 2, width / 2);
    if channels * rows * columns < FEWEST {
        bail!(
            "images of shape [{channels}, {height}, {width}] are too small for their noise to be measured: at least {FEWEST} squares of 2x2 \
             pixels are needed"
        );
    }
    let images = images.to_dtype(DType::F64)?.flatten_from(1)?;
    let level = |image: Vec<f64>| {
        let mut details = Vec::with_capacity(channels * rows * columns);
        for plane in image.chunks_exact(height * width) {
            for i in 0..rows {
                let (upper, lower) = plane[2 * i * width..].split_at(width);
                details.extend((0..columns).map(|j| {
                    let j = 2 * j;
                    (upper[j] - upper[j + 1] - lower[j] + lower[j + 1]).abs() / 2.0
                }));
            }
        }
        median(details) / MEDIAN_OF_NORMAL
    };
    (0..num)
        .map(|image| Ok(level(images.get(image)?.to_vec1()?)))
        .collect()
}

/// The middle one of `values`, the mean of the two middle ones of an even number.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use pfgmpp_kernel::{SampleRng, Stream};

    use super::*;
    use crate::Corruption;

    /// `images` with Gaussian noise of the deviation `sigma`.
    fn with_noise(images: &Tensor, sigma: f64) -> Tensor {
        let num = images.dim(0).unwrap() as u64;
        let rng = |image| SampleRng::new(7, Stream::Observation, image);
        let mut rngs: Vec<SampleRng> = (0..num).map(rng).collect();
        Corruption::Noise(sigma).observe(images, &mut rngs).unwrap()
    }

    /// `num` images of `size` by `size`: a slope, a disc of another level, and noise of the deviation `sigma`.
    fn noisy(num: usize, size: usize, sigma: f64) -> Tensor {
        let value = |i: usize| {
            let (x, y) = (i % size, i / size % size);
            let [dx, dy] = [x, y].map(|at| at as f64 / size as f64 - 0.5);
            let disc = if dx * dx + dy * dy < 0.1 { 0.8 } else { 0.0 };
            dx + disc - 0.5
        };
        let values: Vec<f64> = (0..num * size * size).map(value).collect();
        let images = Tensor::from_vec(values, (num, 1, size, size), &Device::Cpu).unwrap();
        match sigma > 0.0 {
            true => with_noise(&images, sigma),
            false => images,
        }
    }

    #[test]
    fn the_noise_of_images_with_slopes_and_edges_is_found() {
        for sigma in [0.02, 0.1, 0.5, 2.0] {
            let found = noise_levels(&noisy(16, 64, sigma)).unwrap();
            let mean = found.iter().sum::<f64>() / 16.0;
            // The median of 1,024 is off by 3.6 %, that of 16 images by 0.9 %. The edge crosses 4 % of the squares: the median is at most
            // that of the quantile 0.5 / 0.96 of |n|, which is 4.9 % above 0.6745.
            let off = mean / sigma - 1.0;
            assert!((-0.02..0.05).contains(&off), "got {mean}, want {sigma}");
        }
        let clean = noise_levels(&noisy(1, 64, 0.0)).unwrap()[0];
        assert!(
            clean < 1e-12,
            "got {clean}, want 0: a slope has no diagonal details"
        );
    }

    #[test]
    fn an_odd_side_and_several_channels_are_taken_and_too_small_images_are_refused() {
        let grey = noisy(2, 33, 0.3);
        let both = Tensor::cat(&[&grey, &grey, &grey], 1).unwrap();
        let (one, three) = (noise_levels(&grey).unwrap(), noise_levels(&both).unwrap());
        assert_eq!(one, three, "three equal planes have the same noise as one");
        let got = noise_levels(&noisy(1, 7, 0.3)).unwrap_err().to_string();
        assert!(got.contains("[1, 7, 7] are too small"), "got {got}");
        assert!(noise_levels(&noisy(1, 8, 0.3)).is_ok());
    }

    #[test]
    fn the_noise_of_written_digits_is_found_less_well_the_smaller_they_are() {
        use pfgmpp_data::{DataSource, Mnist5k};
        let large = DataSource::Mnist5k(Mnist5k::default());
        // Strokes are details too, which raise the median: little where digits are black nearly everywhere, more the less noise there is,
        // and most in 8x8 images.
        for (data, most) in [
            (large, [0.15, 0.08, 0.04]),
            (DataSource::Digits, [0.85, 0.35, 0.12]),
        ] {
            let held_out = data.load().unwrap().held_out;
            let images: Vec<usize> = (0..200).collect();
            let images = held_out.batch(&images, &Device::Cpu).unwrap();
            for (sigma, most) in [0.25, 0.5, 1.0].into_iter().zip(most) {
                let mut found = noise_levels(&with_noise(&images, sigma)).unwrap();
                found.sort_by(f64::total_cmp);
                let (name, got) = (data.name(), found[100]);
                println!(
                    "{name}: got {got:.3} of sigma = {sigma}, each from {:.3} to {:.3}",
                    found[0], found[199]
                );
                let off = got / sigma - 1.0;
                assert!(
                    (-0.02..most).contains(&off),
                    "{name}: got {got}, want {sigma}"
                );
            }
        }
    }
}
