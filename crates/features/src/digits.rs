//! A small classifier of handwritten digits, whose weights are built in.
//!
//! Three convolutions and two dense layers, trained on the training parts of the two sets of digits that this project
//! embeds, by `cargo run --release -p pfgmpp-features --example train_digits`.

use std::collections::HashMap;

use candle_core::{Device, Tensor, safetensors};

use crate::error::FeatureError;
use crate::extractor::Network;
use crate::pixels::Pixels;
use crate::resample::{Axis, resample};
use crate::weights::Weights;

/// Weights of the network, in half precision.
const BUILT_IN: &[u8] = include_bytes!("../weights/digits.safetensors");

/// The side of the images that the network sees.
const SIDE: usize = 16;
/// Channels behind each convolution, of which the second and the third halve the side.
const CHANNELS: [usize; 3] = [16, 32, 64];
/// Features of an image: the values before the last layer.
const NUM: usize = 64;
/// Digits.
const CLASSES: usize = 10;

/// The classifier, with its last layer.
///
/// Images of any size are made grey and resampled to 16x16; digits are bright on dark.
pub struct DigitClassifier {
    convolutions: Vec<(Tensor, Tensor)>,
    dense: (Tensor, Tensor),
    last: (Tensor, Tensor),
}

impl DigitClassifier {
    /// Names and shapes of its weights.
    #[must_use]
    pub fn shapes() -> Vec<(String, Vec<usize>)> {
        let mut shapes = Vec::new();
        let mut layer = |name: &str, weight: Vec<usize>| {
            shapes.push((format!("{name}.bias"), vec![weight[0]]));
            shapes.push((format!("{name}.weight"), weight));
        };
        let mut before = 1;
        for (index, channels) in CHANNELS.into_iter().enumerate() {
            layer(&convolution(index), vec![channels, before, 3, 3]);
            before = channels;
        }
        let flat = before * (SIDE / 4) * (SIDE / 4);
        layer("dense", vec![NUM, flat]);
        layer("last", vec![CLASSES, NUM]);
        shapes
    }

    /// The classifier of `weights`, which are of [`Self::shapes`].
    ///
    /// # Errors
    ///
    /// Weights that are missing, unknown, of another shape or not finite.
    pub fn new(weights: HashMap<String, Tensor>, device: &Device) -> Result<Self, FeatureError> {
        let mut weights = Weights::new(weights, "the classifier of digits", device);
        let shapes: HashMap<String, Vec<usize>> = Self::shapes().into_iter().collect();
        let mut layer = |name: &str| {
            let mut take = |part: &str| {
                let name = format!("{name}.{part}");
                weights.take(&name, &shapes[&name])
            };
            Ok::<_, FeatureError>((take("weight")?, take("bias")?))
        };
        let convolutions = (0..CHANNELS.len()).map(|index| layer(&convolution(index)));
        let classifier = Self {
            convolutions: convolutions.collect::<Result<_, _>>()?,
            dense: layer("dense")?,
            last: layer("last")?,
        };
        weights.finish(|_| false)?;
        Ok(classifier)
    }

    /// The classifier with the weights that are built in.
    ///
    /// # Errors
    ///
    /// Failures of the tensor backend.
    pub fn built_in(device: &Device) -> Result<Self, FeatureError> {
        Self::new(safetensors::load_buffer(BUILT_IN, &Device::Cpu)?, device)
    }

    /// `images` `[n, C, H, W]` in `[-1, 1]` as the network sees them, `[n, 1, 16, 16]`, on the host.
    ///
    /// # Errors
    ///
    /// What is no image, and pixels that are not finite.
    pub fn prepare(images: &Tensor) -> Result<Tensor, FeatureError> {
        let pixels = Pixels::of(images)?;
        let num = pixels.num();
        let prepared = (0..num).flat_map(|image| seen(&pixels, image)).collect();
        let shape = (num, 1, SIDE, SIDE);
        Ok(Tensor::from_vec(prepared, shape, &Device::Cpu)?)
    }

    /// Unnormalised logarithms of the probabilities of the ten digits, `[n, 10]`, of prepared images.
    ///
    /// # Errors
    ///
    /// Failures of the tensor backend.
    pub fn logits(&self, prepared: &Tensor) -> candle_core::Result<Tensor> {
        dense(&self.features_of(prepared)?, &self.last)
    }

    fn features_of(&self, prepared: &Tensor) -> candle_core::Result<Tensor> {
        let mut x = prepared.clone();
        for (index, (weight, bias)) in self.convolutions.iter().enumerate() {
            let stride = if index == 0 { 1 } else { 2 };
            let bias = bias.reshape((1, (), 1, 1))?;
            let y = x.conv2d(weight, 1, stride, 1, 1)?;
            x = y.broadcast_add(&bias)?.relu()?;
        }
        dense(&x.flatten_from(1)?, &self.dense)?.relu()
    }
}

fn convolution(index: usize) -> String {
    format!("convolution_{}", index + 1)
}

fn dense(x: &Tensor, (weight, bias): &(Tensor, Tensor)) -> candle_core::Result<Tensor> {
    x.matmul(&weight.t()?)?.broadcast_add(bias)
}

/// One image as the network sees it.
fn seen(pixels: &Pixels, image: usize) -> Vec<f32> {
    let rows = Axis::smooth_cubic(pixels.height, SIDE);
    let columns = Axis::smooth_cubic(pixels.width, SIDE);
    let mut grey = vec![0.0f32; pixels.height * pixels.width];
    for plane in pixels.planes(image) {
        let levels = grey.iter_mut().zip(plane);
        levels.for_each(|(sum, level)| *sum += level / 3.0);
    }
    let resampled = resample(&grey, &rows, &columns).into_iter();
    resampled.map(|level| 2.0 * level - 1.0).collect()
}

impl Network for DigitClassifier {
    fn num_features(&self) -> usize {
        NUM
    }

    fn shape(&self) -> [usize; 3] {
        [1, SIDE, SIDE]
    }

    fn about(&self) -> String {
        format!("classifier of digits: 8-bit grey images, bicubic to {SIDE}x{SIDE}, {NUM} features")
    }

    fn caution(&self) -> Option<&'static str> {
        Some(
            "the classifier of digits has seen handwritten digits only: of other images its features say little",
        )
    }

    fn prepare(&self, pixels: &Pixels, image: usize) -> Vec<f32> {
        seen(pixels, image)
    }

    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        self.features_of(x)
    }
}
