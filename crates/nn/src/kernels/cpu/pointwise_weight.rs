//! Gradient of the weights of a kernel of one pixel: `dW = gᵀ x`, summed over all pixels of all samples.
//!
//! A task owns a block of the weights and a share of the pixels, which pass in chunks that are copied beside
//! each other: in the images, channels of a block lie as far apart as the whole pixel is long, often a power
//! of two, and would compete for the same lines of the cache.

use std::mem::MaybeUninit;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::outer::{OuterProducts, Shares};
use super::parallel::{Shared, for_each_index_with, for_each_piece, written};
use super::product::lanes;
use super::scratch::Scratch;

/// Channels of a block, in and out.
const BLOCK: usize = 128;

/// Pixels of a chunk.
const PIXELS: usize = 64;

/// Pixels of a share below which sums cost more than products.
const MIN_SHARE: usize = 512;

/// Gradient of the weights, `[c_out, c_in]`, from `x [pixels, c_in]` and `grad [pixels, c_out]`.
pub(crate) fn pointwise_weight_gradient(
    x: &[f32],
    grad: &[f32],
    (c_out, c_in): (usize, usize),
) -> Vec<f32> {
    let pixels = x.len() / c_in;
    let blocks = (c_out.div_ceil(BLOCK), c_in.div_ceil(BLOCK));
    let shares = Shares::new(pixels, blocks.0 * blocks.1, MIN_SHARE);
    let weights = c_out * c_in;
    let work = pixels * weights;
    let task = |out: &Shared<MaybeUninit<f32>>, space: &mut Space, i: usize| {
        let (block, share) = (i / shares.count, i % shares.count);
        let part = |block: usize, c: usize| block * BLOCK..c.min((block + 1) * BLOCK);
        let columns = part(block % blocks.1, c_in);
        Arch::new().dispatch(Task {
            pixels: shares.range(share),
            width: columns.len().next_multiple_of(lanes()),
            x: (x, c_in, columns),
            grad: (grad, c_out, part(block / blocks.1, c_out)),
            space,
            out,
            to: share * weights,
        });
    };
    let run = |out: &mut [MaybeUninit<f32>]| {
        let out = Shared::new(out);
        let tasks = blocks.0 * blocks.1 * shares.count;
        for_each_index_with(tasks, work, Space::new, |space, i| task(&out, space, i));
    };
    // SAFETY: the tasks of each share write all weights, and the sum of all shares is written whole.
    unsafe {
        let partial = written(shares.count * weights, run);
        if shares.count == 1 {
            return partial;
        }
        written(weights, |out| {
            for_each_piece(out, c_in, partial.len(), |row, out| {
                for (i, out) in out.iter_mut().enumerate() {
                    let shares = partial[row * c_in + i..].iter().step_by(weights);
                    out.write(shares.sum());
                }
            });
        })
    }
}

/// Chunks of both images, and the sums of one block.
struct Space {
    /// `[PIXELS, BLOCK]`.
    grad: Scratch,
    /// `[PIXELS, width]`.
    x: Scratch,
    /// `[BLOCK, width]`.
    sums: Scratch,
}

impl Space {
    fn new() -> Self {
        Self {
            grad: Scratch::new(PIXELS * BLOCK),
            x: Scratch::new(PIXELS * BLOCK),
            sums: Scratch::new(BLOCK * BLOCK),
        }
    }
}

struct Task<'a> {
    pixels: Range<usize>,
    /// Values, channels of a pixel, and those of the block.
    x: (&'a [f32], usize, Range<usize>),
    grad: (&'a [f32], usize, Range<usize>),
    space: &'a mut Space,
    /// Columns of the block, rounded up to whole vectors.
    width: usize,
    out: &'a Shared<'a, MaybeUninit<f32>>,
    /// Where the weights begin in `out`.
    to: usize,
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (rows, columns) = (self.grad.2.clone(), self.x.2.clone());
        let space = self.space;
        if self.pixels.is_empty() {
            space.sums.fill(0.0);
        }
        for first in self.pixels.clone().step_by(PIXELS) {
            let chunk = first..(first + PIXELS).min(self.pixels.end);
            copy(&self.grad, chunk.clone(), &mut space.grad, BLOCK);
            copy(&self.x, chunk.clone(), &mut space.x, self.width);
            let products = OuterProducts {
                a: &space.grad,
                a_step: BLOCK,
                b: &space.x,
                count: chunk.len(),
                rows: rows.len(),
                width: self.width,
                fresh: first == self.pixels.start,
            };
            products.add(simd, &mut space.sums);
        }
        let (c_in, sums) = (self.x.1, space.sums.chunks_exact(self.width));
        for (row, sums) in rows.zip(sums) {
            // SAFETY: these weights are written here only.
            let out = unsafe {
                let at = self.to + row * c_in + columns.start;
                std::slice::from_raw_parts_mut(self.out.range(at, columns.len()), columns.len())
            };
            out.iter_mut().zip(sums).for_each(|(out, &sum)| {
                out.write(sum);
            });
        }
    }
}

/// Copies the channels of some pixels to `out [pixels, width]`.
#[inline(always)]
fn copy(
    (values, channels, range): &(&[f32], usize, Range<usize>),
    pixels: Range<usize>,
    out: &mut [f32],
    width: usize,
) {
    let pixels = values[pixels.start * channels..pixels.end * channels].chunks_exact(*channels);
    for (out, pixel) in out.chunks_exact_mut(width).zip(pixels) {
        out[..range.len()].copy_from_slice(&pixel[range.clone()]);
    }
}
