//! DINOv2 (Oquab et al. 2023, arXiv:2304.07193): a vision transformer over patches of 14x14 pixels.
//!
//! candle-transformers has one too, which interpolates position embeddings to the nearest and has other norms; features of
//! it differ from the published ones. This one follows the published network of every size, S to g.

mod block;
mod names;

use std::collections::HashMap;

use candle_core::{Device, Tensor};
use candle_nn::{LayerNorm, Module};

use crate::error::FeatureError;
use crate::extractor::Network;
use crate::pixels::Pixels;
use crate::resample::{Axis, resample};
use crate::weights::Weights;
use block::{Block, norm};

/// The side of the images that features are taken of.
const SIDE: usize = 224;
/// The side of a patch.
const PATCH: usize = 14;
/// Patches on a side.
const GRID: usize = SIDE / PATCH;
/// What the published network adds to the number of patches on a side when it interpolates their embeddings.
const OFFSET: f64 = 0.1;
/// Channels of a head of attention, in networks of every size.
const HEAD: usize = 64;
/// Mean and standard deviation of ImageNet's channels, by which images are standardised.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const STD: [f32; 3] = [0.229, 0.224, 0.225];

/// The network.
pub(crate) struct DinoV2 {
    /// `[width, 3, 14, 14]`
    patch_weight: Tensor,
    /// `[1, 1, width]`
    patch_bias: Tensor,
    /// The class token with its position, `[1, 1, width]`.
    class: Tensor,
    /// Position embeddings of the patches, `[1, 256, width]`.
    positions: Tensor,
    blocks: Vec<Block>,
    norm: LayerNorm,
    width: usize,
}

impl DinoV2 {
    /// # Errors
    ///
    /// Weights that are missing, unknown, of another shape or not finite.
    pub(crate) fn new(
        weights: HashMap<String, Tensor>,
        device: &Device,
    ) -> Result<Self, FeatureError> {
        let mut weights = Weights::new(weights, "DINOv2", device);
        weights.rename(names::published)?;
        let shape = weights.shape("cls_token")?;
        let &[1, 1, width] = shape.as_slice() else {
            return Err(refused("cls_token", "[1, 1, width]", shape));
        };
        if width == 0 || width % HEAD != 0 {
            let want = format!("[1, 1, a multiple of {HEAD}]");
            return Err(refused("cls_token", &want, shape));
        }
        let class = weights.take("cls_token", &[1, 1, width])?;
        let (at_class, positions) = positions(&mut weights, width)?;
        let kernel = [width, 3, PATCH, PATCH];
        let patch_weight = weights.take("patch_embed.proj.weight", &kernel)?;
        let patch_bias = weights.take("patch_embed.proj.bias", &[width])?;
        let depth = (0..).take_while(|i| weights.has(&format!("blocks.{i}.norm1.weight")));
        // A network without blocks is refused by the name of its first weight, one of a published width that was cut off by
        // that of the first that is not there.
        let least = PUBLISHED.iter().find(|(own, ..)| *own == width);
        let depth = depth.count().max(least.map_or(1, |(_, depth, _)| *depth));
        let blocks = (0..depth).map(|i| Block::take(&mut weights, &format!("blocks.{i}"), width));
        let blocks: Vec<Block> = blocks.collect::<Result<_, _>>()?;
        let norm = norm(&mut weights, "norm", width)?;
        // Only training shows masked patches.
        weights.finish(|name| name == "mask_token")?;
        Ok(Self {
            patch_weight,
            patch_bias: patch_bias.reshape((1, 1, width))?,
            class: (class + at_class)?,
            positions,
            blocks,
            norm,
            width,
        })
    }
}

/// Width, blocks and name of the published networks, of patches of 14x14 pixels.
const PUBLISHED: [(usize, usize, &str); 4] = [
    (384, 12, "ViT-S/14"),
    (768, 12, "ViT-B/14"),
    (1024, 24, "ViT-L/14"),
    (1536, 40, "ViT-g/14"),
];

/// The position embedding of the class token and those of a grid of 16x16 patches, interpolated if the weights are of another.
fn positions(weights: &mut Weights, width: usize) -> Result<(Tensor, Tensor), FeatureError> {
    let shape = weights.shape("pos_embed")?;
    let want = format!("[1, 1 + a square, {width}]");
    let &[1, rows, _] = shape.as_slice() else {
        return Err(refused("pos_embed", &want, shape));
    };
    let grid = rows.saturating_sub(1).isqrt();
    if grid == 0 || grid * grid + 1 != rows {
        return Err(refused("pos_embed", &want, shape));
    }
    let all = weights.take("pos_embed", &[1, rows, width])?;
    let (class, patches) = (all.narrow(1, 0, 1)?, all.narrow(1, 1, rows - 1)?);
    if grid == GRID {
        return Ok((class, patches));
    }
    let axis = Axis::cubic(grid, GRID, grid as f64 / (GRID as f64 + OFFSET));
    let planes = patches.squeeze(0)?.t()?.to_device(&Device::Cpu)?;
    let planes = planes.contiguous()?.to_vec2::<f32>()?;
    let planes = planes
        .iter()
        .flat_map(|plane| resample(plane, &axis, &axis));
    let planes = Tensor::from_vec(planes.collect(), (width, GRID * GRID), &Device::Cpu)?;
    let patches = planes.t()?.contiguous()?.unsqueeze(0)?;
    Ok((class, patches.to_device(all.device())?))
}

fn refused(name: &str, want: &str, got: Vec<usize>) -> FeatureError {
    FeatureError::Shape {
        name: name.to_string(),
        want: want.to_string(),
        got,
    }
}

impl Network for DinoV2 {
    fn num_features(&self) -> usize {
        self.width
    }

    fn shape(&self) -> [usize; 3] {
        [3, SIDE, SIDE]
    }

    fn about(&self) -> String {
        let published = (self.width, self.blocks.len());
        let published = PUBLISHED
            .iter()
            .find(|(width, depth, _)| (*width, *depth) == published);
        let size = match published {
            Some((_, _, name)) => (*name).to_string(),
            None => format!("{} blocks", self.blocks.len()),
        };
        let num = self.width;
        format!(
            "DINOv2 {size}: 8-bit images, bicubic with antialiasing to {SIDE}x{SIDE}, {num} features"
        )
    }

    fn caution(&self) -> Option<&'static str> {
        None
    }

    fn prepare(&self, pixels: &Pixels, image: usize) -> Vec<f32> {
        let rows = Axis::smooth_cubic(pixels.height, SIDE);
        let columns = Axis::smooth_cubic(pixels.width, SIDE);
        let planes = pixels.planes(image).zip(MEAN.into_iter().zip(STD));
        let planes = planes.flat_map(|(plane, (mean, std))| {
            let plane = resample(plane, &rows, &columns).into_iter();
            plane.map(move |level| (level - mean) / std)
        });
        planes.collect()
    }

    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let num = x.dim(0)?;
        let patches = x.conv2d(&self.patch_weight, 0, PATCH, 1, 1)?;
        let patches = patches.flatten_from(2)?.transpose(1, 2)?;
        let patches = patches.broadcast_add(&self.patch_bias)?;
        let patches = patches.broadcast_add(&self.positions)?;
        let class = self.class.broadcast_as((num, 1, self.width))?;
        let mut tokens = Tensor::cat(&[&class.contiguous()?, &patches], 1)?;
        for block in &self.blocks {
            tokens = block.forward(&tokens)?;
        }
        let class = tokens.narrow(1, 0, 1)?.contiguous()?;
        self.norm.forward(&class)?.squeeze(1)
    }
}
