//! The blocks: branches side by side, their channels one behind the other.

use candle_core::{D, DType, Tensor};

use super::conv::{Conv, Spec};
use crate::error::FeatureError;
use crate::weights::Weights;

/// What a branch begins with in place of the image itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pool {
    /// The average of 3x3 pixels, of those that lie within the image.
    Average,
    /// The average of 3x3 pixels, of which those beyond the edge are 0.
    PaddedAverage,
    /// The maximum of 3x3 pixels.
    Maximum,
    /// The maximum of 3x3 pixels at every second pixel, all within the image.
    Halving,
}

impl Pool {
    pub(super) fn forward(self, x: &Tensor) -> candle_core::Result<Tensor> {
        if self == Self::Halving {
            return x.max_pool2d_with_stride(3, 2);
        }
        // Everything that is pooled comes from rectifiers: a maximum does not see the zeros beyond the edge.
        let padded = x.pad_with_zeros(D::Minus2, 1, 1)?;
        let padded = padded.pad_with_zeros(D::Minus1, 1, 1)?;
        match self {
            Self::Maximum => padded.max_pool2d_with_stride(3, 1),
            Self::PaddedAverage => padded.avg_pool2d_with_stride(3, 1),
            _ => {
                let (_, _, height, width) = x.dims4()?;
                let within = within(height, width, x)?;
                padded.avg_pool2d_with_stride(3, 1)?.broadcast_mul(&within)
            }
        }
    }
}

/// Nine over the number of pixels of 3x3 that lie within an image, `[1, 1, H, W]`.
fn within(height: usize, width: usize, like: &Tensor) -> candle_core::Result<Tensor> {
    let near = |i: usize, side: usize| (i + 2).min(side) - i.saturating_sub(1);
    let all = (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
    let values = all.map(|(y, x)| 9.0 / (near(y, height) * near(x, width)) as f32);
    let values: Vec<f32> = values.collect();
    Tensor::from_vec(values, (1, 1, height, width), like.device())?.to_dtype(DType::F32)
}

/// A branch without its weights: a pool, convolutions one after the other, and two side by side at the end of some.
pub(super) struct Branch {
    pool: Option<Pool>,
    chain: Vec<Spec>,
    fork: Vec<Spec>,
}

/// Convolutions one after the other.
fn chain<const N: usize>(chain: [Spec; N]) -> Branch {
    Branch {
        pool: None,
        chain: chain.to_vec(),
        fork: Vec::new(),
    }
}

/// Convolutions one after the other, and two side by side behind them.
fn forked<const N: usize>(specs: [Spec; N], fork: [Spec; 2]) -> Branch {
    Branch {
        fork: fork.to_vec(),
        ..chain(specs)
    }
}

/// A pool, and a convolution of single pixels behind it.
fn pooled(pool: Pool, out: usize) -> Branch {
    Branch {
        pool: Some(pool),
        ..chain([Spec::point("branch_pool", out)])
    }
}

/// All blocks in order, with the names that they have in files.
pub(super) fn blocks(is_of_2015: bool) -> Vec<(&'static str, Vec<Branch>)> {
    let (average, last) = match is_of_2015 {
        true => (Pool::Average, Pool::Maximum),
        false => (Pool::PaddedAverage, Pool::PaddedAverage),
    };
    vec![
        ("Mixed_5b.", block_a(average, 32)),
        ("Mixed_5c.", block_a(average, 64)),
        ("Mixed_5d.", block_a(average, 64)),
        ("Mixed_6a.", block_b()),
        ("Mixed_6b.", block_c(average, 128)),
        ("Mixed_6c.", block_c(average, 160)),
        ("Mixed_6d.", block_c(average, 160)),
        ("Mixed_6e.", block_c(average, 192)),
        ("Mixed_7a.", block_d()),
        ("Mixed_7b.", block_e(average)),
        ("Mixed_7c.", block_e(last)),
    ]
}

fn block_a(pool: Pool, pooled_channels: usize) -> Vec<Branch> {
    vec![
        chain([Spec::point("branch1x1", 64)]),
        chain([
            Spec::point("branch5x5_1", 48),
            Spec::same("branch5x5_2", 64, [5, 5]),
        ]),
        chain([
            Spec::point("branch3x3dbl_1", 64),
            Spec::same("branch3x3dbl_2", 96, [3, 3]),
            Spec::same("branch3x3dbl_3", 96, [3, 3]),
        ]),
        pooled(pool, pooled_channels),
    ]
}

/// Halves the image.
fn block_b() -> Vec<Branch> {
    vec![
        chain([Spec::valid("branch3x3", 384, 3).halving()]),
        chain([
            Spec::point("branch3x3dbl_1", 64),
            Spec::same("branch3x3dbl_2", 96, [3, 3]),
            Spec::valid("branch3x3dbl_3", 96, 3).halving(),
        ]),
        halved(),
    ]
}

fn block_c(pool: Pool, inner: usize) -> Vec<Branch> {
    let (row, column) = ([1, 7], [7, 1]);
    vec![
        chain([Spec::point("branch1x1", 192)]),
        chain([
            Spec::point("branch7x7_1", inner),
            Spec::same("branch7x7_2", inner, row),
            Spec::same("branch7x7_3", 192, column),
        ]),
        chain([
            Spec::point("branch7x7dbl_1", inner),
            Spec::same("branch7x7dbl_2", inner, column),
            Spec::same("branch7x7dbl_3", inner, row),
            Spec::same("branch7x7dbl_4", inner, column),
            Spec::same("branch7x7dbl_5", 192, row),
        ]),
        pooled(pool, 192),
    ]
}

/// Halves the image.
fn block_d() -> Vec<Branch> {
    vec![
        chain([
            Spec::point("branch3x3_1", 192),
            Spec::valid("branch3x3_2", 320, 3).halving(),
        ]),
        chain([
            Spec::point("branch7x7x3_1", 192),
            Spec::same("branch7x7x3_2", 192, [1, 7]),
            Spec::same("branch7x7x3_3", 192, [7, 1]),
            Spec::valid("branch7x7x3_4", 192, 3).halving(),
        ]),
        halved(),
    ]
}

fn block_e(pool: Pool) -> Vec<Branch> {
    let (row, column) = ([1, 3], [3, 1]);
    vec![
        chain([Spec::point("branch1x1", 320)]),
        forked(
            [Spec::point("branch3x3_1", 384)],
            [
                Spec::same("branch3x3_2a", 384, row),
                Spec::same("branch3x3_2b", 384, column),
            ],
        ),
        forked(
            [
                Spec::point("branch3x3dbl_1", 448),
                Spec::same("branch3x3dbl_2", 384, [3, 3]),
            ],
            [
                Spec::same("branch3x3dbl_3a", 384, row),
                Spec::same("branch3x3dbl_3b", 384, column),
            ],
        ),
        pooled(pool, 192),
    ]
}

/// The image itself, halved.
fn halved() -> Branch {
    Branch {
        pool: Some(Pool::Halving),
        ..chain([])
    }
}

/// A block with its weights.
pub(super) struct Block {
    branches: Vec<Weighted>,
    channels: usize,
}

/// A branch with its weights.
struct Weighted {
    pool: Option<Pool>,
    chain: Vec<Conv>,
    fork: Vec<Conv>,
}

impl Block {
    /// Takes the weights of a block of `channels` channels that is called `name` in files.
    pub(super) fn take(
        weights: &mut Weights,
        name: &str,
        channels: usize,
        branches: Vec<Branch>,
    ) -> Result<Self, FeatureError> {
        let (mut all, mut taken) = (0, Vec::new());
        for branch in branches {
            let mut last = channels;
            let mut convs = Vec::new();
            for spec in branch.chain {
                convs.push(Conv::take(weights, name, last, spec)?);
                last = spec.out;
            }
            let fork = branch.fork.into_iter();
            let fork = fork.map(|spec| Conv::take(weights, name, last, spec));
            let fork: Vec<Conv> = fork.collect::<Result<_, _>>()?;
            all += match fork.is_empty() {
                true => last,
                false => fork.iter().map(Conv::channels).sum(),
            };
            taken.push(Weighted {
                pool: branch.pool,
                chain: convs,
                fork,
            });
        }
        Ok(Self {
            branches: taken,
            channels: all,
        })
    }

    /// Channels of the result.
    pub(super) fn channels(&self) -> usize {
        self.channels
    }

    pub(super) fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let mut parts = Vec::new();
        for branch in &self.branches {
            let mut part = match branch.pool {
                Some(pool) => pool.forward(x)?,
                None => x.clone(),
            };
            for conv in &branch.chain {
                part = conv.forward(&part)?;
            }
            if branch.fork.is_empty() {
                parts.push(part);
                continue;
            }
            for conv in &branch.fork {
                parts.push(conv.forward(&part)?);
            }
        }
        Tensor::cat(&parts, 1)
    }
}
