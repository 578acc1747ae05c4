//! Inception-v3 (Szegedy et al. 2015, arXiv:1512.00567), up to the averages before its last layer.
//!
//! FID (Heusel et al. 2017, arXiv:1706.08500) takes the network that was published in 2015, with 1,008 classes. It differs
//! from the one that torchvision trains: averages over 3x3 pixels leave out those beyond the edge, and the last block
//! takes a maximum in place of an average. Weights of 1,000 classes are torchvision's and are evaluated as that does.

mod blocks;
mod conv;

use std::collections::HashMap;

use candle_core::{Device, Tensor};

use crate::error::FeatureError;
use crate::extractor::Network;
use crate::pixels::Pixels;
use crate::resample::{Axis, resample};
use crate::weights::Weights;
use blocks::{Block, Pool, blocks};
use conv::{Conv, Spec};

/// The side of the images that the network was trained on.
const SIDE: usize = 299;
/// Features of an image.
const NUM: usize = 2048;
/// Classes of the network of 2015.
const CLASSES_2015: usize = 1008;
/// Classes of torchvision's.
const CLASSES_TORCHVISION: usize = 1000;

/// The network.
pub(crate) struct Inception {
    /// The convolutions before the blocks, with a halving by maxima behind two of them.
    stem: Vec<(Conv, bool)>,
    blocks: Vec<Block>,
    is_of_2015: bool,
}

impl Inception {
    /// # Errors
    ///
    /// Weights that are missing, unknown, of another shape or not finite.
    pub(crate) fn new(
        weights: HashMap<String, Tensor>,
        device: &Device,
    ) -> Result<Self, FeatureError> {
        let mut weights = Weights::new(weights, "Inception-v3", device);
        let last = weights.shape("fc.weight")?;
        let is_of_2015 = match last.as_slice() {
            [CLASSES_2015, NUM] => true,
            [CLASSES_TORCHVISION, NUM] => false,
            _ => {
                return Err(FeatureError::Shape {
                    name: "fc.weight".to_string(),
                    want: format!(
                        "[{CLASSES_2015}, {NUM}], or [{CLASSES_TORCHVISION}, {NUM}] of torchvision"
                    ),
                    got: last,
                });
            }
        };
        let stem = [
            (Spec::valid("Conv2d_1a_3x3", 32, 3).halving(), false),
            (Spec::valid("Conv2d_2a_3x3", 32, 3), false),
            (Spec::same("Conv2d_2b_3x3", 64, [3, 3]), true),
            (Spec::valid("Conv2d_3b_1x1", 80, 1), false),
            (Spec::valid("Conv2d_4a_3x3", 192, 3), true),
        ];
        let mut channels = 3;
        let stem = stem.into_iter().map(|(spec, pool)| {
            let conv = Conv::take(&mut weights, "", channels, spec)?;
            channels = spec.out;
            Ok((conv, pool))
        });
        let stem: Vec<(Conv, bool)> = stem.collect::<Result<_, FeatureError>>()?;
        let taken = blocks(is_of_2015).into_iter().map(|(name, branches)| {
            let block = Block::take(&mut weights, name, channels, branches)?;
            channels = block.channels();
            Ok(block)
        });
        let blocks: Vec<Block> = taken.collect::<Result<_, FeatureError>>()?;
        debug_assert_eq!(channels, NUM);
        weights.finish(|name| {
            name.starts_with("fc.")
                || name.starts_with("AuxLogits.")
                || name.ends_with(".num_batches_tracked")
        })?;
        Ok(Self {
            stem,
            blocks,
            is_of_2015,
        })
    }
}

impl Network for Inception {
    fn num_features(&self) -> usize {
        NUM
    }

    fn shape(&self) -> [usize; 3] {
        [3, SIDE, SIDE]
    }

    fn about(&self) -> String {
        let which = match self.is_of_2015 {
            true => "of 2015, as FID takes it",
            false => "of torchvision",
        };
        format!("Inception-v3 {which}: 8-bit images, bilinear to {SIDE}x{SIDE}, {NUM} features")
    }

    fn caution(&self) -> Option<&'static str> {
        (!self.is_of_2015).then_some(
            "these are torchvision's weights of 1,000 classes: distances by them are not FID, which takes those of 2015 with 1,008",
        )
    }

    fn prepare(&self, pixels: &Pixels, image: usize) -> Vec<f32> {
        let rows = Axis::linear(pixels.height, SIDE);
        let columns = Axis::linear(pixels.width, SIDE);
        let planes = pixels.planes(image);
        let planes = planes.flat_map(|plane| resample(plane, &rows, &columns));
        planes.map(|level| 2.0 * level - 1.0).collect()
    }

    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let mut x = x.clone();
        for (conv, pool) in &self.stem {
            x = conv.forward(&x)?;
            if *pool {
                x = Pool::Halving.forward(&x)?;
            }
        }
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        x.flatten_from(2)?.mean(2)
    }
}
