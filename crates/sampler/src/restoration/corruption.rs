//! Pairs: what a network is shown of each image, in training and in sampling.

use candle_core::{Result, Tensor, bail};
use pfgmpp_kernel::{SampleRng, standard_normal};
use pfgmpp_transfer::ParameterError;
use serde::{Deserialize, Serialize};

use super::{BoxAverage, Operator};

/// How an image is corrupted before a network is shown it, as an image of the same size beside the perturbed one.
///
/// A network that is trained with it estimates `E[y | x, c]`, and samples are of `y` given `c`, whatever is lost in `c`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Corruption {
    /// Gaussian noise of this standard deviation, in units of the data: `c = y + sigma n`.
    Noise(f64),
    /// Pixels that are hidden, each with this probability, in all channels: c has the seen values, zeros elsewhere, and
    /// one more channel that is 1 where a pixel is seen.
    Mask(f64),
    /// Means of boxes of so many pixels a side, each in the place of its pixels.
    Box(usize),
}

impl Corruption {
    /// Checks the parameter.
    ///
    /// # Errors
    ///
    /// Noise outside 0.001 to 1000, a probability outside 0.01 to 0.99, a box of fewer than 2 pixels a side.
    pub fn check(&self) -> std::result::Result<(), ParameterError> {
        match *self {
            Self::Noise(sigma) => ParameterError::within("noise", sigma, 1e-3, 1e3),
            Self::Mask(probability) => ParameterError::within("mask", probability, 0.01, 0.99),
            Self::Box(side) => ParameterError::counted("box", side as u64, 2, 1 << 16),
        }
    }

    /// As [`Self::check`], for images of `shape` `[C, H, W]`.
    ///
    /// # Errors
    ///
    /// A box that does not divide the sides.
    pub fn check_shape(&self, shape: [usize; 3]) -> std::result::Result<(), ParameterError> {
        self.check()?;
        match *self {
            Self::Box(side) => {
                let observed = BoxAverage::new(side)?.observed_shape(&shape);
                observed.map(drop).map_err(|mut error| {
                    error.name = "box".to_string();
                    error
                })
            }
            Self::Noise(_) | Self::Mask(_) => Ok(()),
        }
    }

    /// Channels of what a network is shown of an image of `channels` channels.
    #[must_use]
    pub fn image_channels(&self, channels: usize) -> usize {
        match self {
            Self::Noise(_) | Self::Box(_) => channels,
            Self::Mask(_) => channels + 1,
        }
    }

    /// What a network is shown of `y` `[B, C, H, W]`: `[B, image_channels, H, W]`, of the same dtype; one of `rngs` an
    /// image.
    ///
    /// # Errors
    ///
    /// Images that a box does not divide, another number of generators than of images, and failures of the tensor
    /// backend.
    pub fn observe(&self, y: &Tensor, rngs: &mut [SampleRng]) -> Result<Tensor> {
        let (b, _, h, w) = y.dims4()?;
        if rngs.len() != b {
            bail!(
                "rngs must have one stream for each of the {b} images, got {}",
                rngs.len()
            );
        }
        match *self {
            Self::Noise(sigma) => {
                let noise = standard_normal(&y.dims()[1..], rngs, y.dtype(), y.device());
                y + (noise.map_err(candle_core::Error::wrap)? * sigma)?
            }
            Self::Mask(probability) => {
                let seen = |rng: &mut SampleRng| {
                    let uniform = rng.below(1 << 32) as f64 * 2f64.powi(-32);
                    f64::from(uniform >= probability)
                };
                let pixels = rngs
                    .iter_mut()
                    .flat_map(|rng| (0..h * w).map(|_| seen(rng)).collect::<Vec<_>>());
                let seen =
                    Tensor::from_vec(pixels.collect::<Vec<f64>>(), (b, 1, h, w), y.device())?;
                self.seen(y, &seen.to_dtype(y.dtype())?)
            }
            Self::Box(side) => {
                let boxes = BoxAverage::new(side).map_err(candle_core::Error::wrap)?;
                Self::boxes(&boxes, &boxes.apply(y)?)
            }
        }
    }

    /// What a network is shown of pictures `[B, C, H, W]` of which the pixels `seen` `[B or 1, 1, H, W]`, 1 or 0, are
    /// known.
    ///
    /// # Errors
    ///
    /// Shapes that do not fit each other.
    pub fn seen(&self, picture: &Tensor, seen: &Tensor) -> Result<Tensor> {
        let (b, _, h, w) = picture.dims4()?;
        let shown = picture.broadcast_mul(seen)?;
        Tensor::cat(&[shown, seen.broadcast_as((b, 1, h, w))?.contiguous()?], 1)
    }

    /// What a network is shown of means of boxes `[B, C, H / side, W / side]`.
    fn boxes(boxes: &BoxAverage, means: &Tensor) -> Result<Tensor> {
        let side = boxes.factor() as f64;
        // The transpose spreads a mean over its box, divided by its pixels.
        boxes.transpose(means)? * (side * side)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use pfgmpp_kernel::Stream;

    use super::*;

    fn rngs(count: usize) -> Vec<SampleRng> {
        SampleRng::batch(3, Stream::Corruption, 0, count)
    }

    /// Two images of two channels, 8 by 8 pixels, of values from 1 to 2.
    fn images() -> Tensor {
        let values: Vec<f64> = (0..256).map(|i| 1.0 + f64::from(i) / 256.0).collect();
        Tensor::from_vec(values, (2, 2, 8, 8), &Device::Cpu).unwrap()
    }

    fn values(tensor: &Tensor) -> Vec<f64> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn noise_has_its_deviation_and_is_each_images_own() {
        let y = Tensor::zeros((2, 1, 64, 64), DType::F64, &Device::Cpu).unwrap();
        let corruption = Corruption::Noise(0.5);
        let both = corruption.observe(&y, &mut rngs(2)).unwrap();
        let second = y.narrow(0, 1, 1).unwrap();
        let alone = corruption.observe(&second, &mut rngs(2)[1..]).unwrap();
        assert_eq!(values(&both)[4096..], values(&alone));
        let squares = values(&both).iter().map(|n| n * n).sum::<f64>() / 8192.0;
        assert!(
            (squares.sqrt() - 0.5).abs() < 0.02,
            "got {}",
            squares.sqrt()
        );
    }

    #[test]
    fn a_mask_hides_a_pixel_in_all_channels_and_says_so() {
        let c = Corruption::Mask(0.25)
            .observe(&images(), &mut rngs(2))
            .unwrap();
        assert_eq!(c.dims(), [2, 3, 8, 8]);
        let c = values(&c);
        let y = values(&images());
        let mut hidden = 0;
        for image in 0..2 {
            for pixel in 0..64 {
                let seen = c[image * 192 + 128 + pixel];
                for channel in 0..2 {
                    let want = seen * y[image * 128 + channel * 64 + pixel];
                    assert_eq!(c[image * 192 + channel * 64 + pixel], want);
                }
                hidden += usize::from(seen == 0.0);
            }
        }
        // 32 of 128, with a deviation of 5.
        assert!((17..48).contains(&hidden), "got {hidden} hidden");
    }

    #[test]
    fn a_box_shows_its_mean_in_each_of_its_pixels() {
        let c = Corruption::Box(4).observe(&images(), &mut rngs(2)).unwrap();
        let (c, y) = (values(&c), values(&images()));
        let mean: f64 = (0..4)
            .flat_map(|r| (0..4).map(move |x| r * 8 + x))
            .map(|i| y[i])
            .sum::<f64>()
            / 16.0;
        for at in [0, 3, 8 * 3, 8 * 3 + 3] {
            assert!((c[at] - mean).abs() < 1e-12, "got {}, want {mean}", c[at]);
        }
        assert!(c[4] > mean, "the next box has another mean");
        let error = Corruption::Box(3).check_shape([1, 8, 8]).unwrap_err();
        assert_eq!(error.name, "box");
    }
}
