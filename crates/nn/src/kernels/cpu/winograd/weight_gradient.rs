//! The gradient of the weights: `dW = Gᵀ dU G`, `dU[ξ] = Σ_tiles V[ξ]ᵀ dM[ξ]`.
//!
//! A task owns a block of input channels, a block of output channels and a share of the tiles, whose
//! transforms and sums stay in the cache. Which tiles a share holds follows from the shape alone, and shares
//! are added in order.

use std::mem::MaybeUninit;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::tiles::{Channels, Plane, Tiling};
use super::transform::{IN, Input, OUT, OutputAdjoint, POINTS, TAPS, weight_adjoint};
use crate::kernels::cpu::geometry::Geometry;
use crate::kernels::cpu::outer::{OuterProducts, Shares};
use crate::kernels::cpu::packing::apart;
use crate::kernels::cpu::parallel::{Shared, for_each_index_with, for_each_piece_with, written};
use crate::kernels::cpu::product::{lanes, load, store};
use crate::kernels::cpu::scratch::Scratch;
use crate::kernels::cpu::vectorized::vectorized;

/// Channels of a block, in and out.
const BLOCK: usize = 64;

/// Tiles that are transformed together.
const TILES: usize = 32;

/// Tiles of a share below which its sums cost more than its products.
const MIN_SHARE: usize = 64;

/// Input channels whose gradients are brought into order together: they stay in the first-level cache.
const ROWS: usize = 8;

/// Gradient of the weights, `[c_out, c_in, 3, 3]`, from the input and the gradient of the output.
pub(crate) fn weight_gradient(
    geometry: Geometry,
    x: &[f32],
    grad: &[f32],
    (c_out, c_in): (usize, usize),
) -> Vec<f32> {
    let tiling = Tiling::new(geometry);
    let blocks = Blocks { c_in, c_out };
    let shares = Shares::new(tiling.count, blocks.count(), MIN_SHARE);
    let work = tiling.count * POINTS * c_in * c_out;
    let task = |space: &mut Space, block: usize, share: usize, out: &mut [f32]| {
        let (c_in, c_out) = blocks.channels(block);
        Arch::new().dispatch(Task {
            tiling,
            tiles: shares.range(share),
            x: (x, tiling.inputs, c_in),
            grad: (grad, tiling.outputs, c_out),
            space,
            height: rounded(c_in.len),
            width: rounded(c_out.len),
            out,
        });
    };
    // SAFETY: every row of every block is delivered, which together are all weights.
    unsafe {
        written(c_out * c_in * TAPS, |out| {
            let out = Shared::new(out);
            if shares.count == 1 {
                let scratch = || (Space::new(), Scratch::new(BLOCK_LEN));
                for_each_index_with(blocks.count(), work, scratch, |(space, sums), block| {
                    task(space, block, 0, sums);
                    for first in (0..BLOCK).step_by(ROWS) {
                        blocks.deliver(block, first, &sums[..BLOCK_LEN], &out);
                    }
                });
                return;
            }
            let len = blocks.count() * shares.count * BLOCK_LEN;
            let mut partial = Scratch::new(len);
            let partial = &mut partial[..len];
            for_each_piece_with(partial, BLOCK_LEN, work, Space::new, |space, i, out| {
                task(space, i / shares.count, i % shares.count, out);
            });
            let (pieces, len) = (BLOCK / ROWS, shares.count * BLOCK_LEN);
            for_each_index_with(
                blocks.count() * pieces,
                partial.len(),
                || (),
                |(), i| {
                    let (block, first) = (i / pieces, i % pieces * ROWS);
                    blocks.deliver(block, first, &partial[block * len..][..len], &out);
                },
            );
        })
    }
}

/// Values of the gradient of a block.
const BLOCK_LEN: usize = BLOCK * TAPS * BLOCK;

/// Channels rounded up to whole vectors.
fn rounded(channels: usize) -> usize {
    channels.next_multiple_of(lanes())
}

/// Blocks of the weights. The gradient of one is `[c_in, 9, c_out]`, of its own channels, the last rounded up
/// to whole vectors.
#[derive(Clone, Copy)]
struct Blocks {
    c_in: usize,
    c_out: usize,
}

impl Blocks {
    fn count(&self) -> usize {
        self.c_in.div_ceil(BLOCK) * self.c_out.div_ceil(BLOCK)
    }

    /// The input and output channels of a block.
    fn channels(&self, block: usize) -> (Channels, Channels) {
        let channels = |c: usize, block: usize| {
            let first = block * BLOCK;
            Channels {
                step: c,
                first,
                len: (c - first).min(BLOCK),
            }
        };
        let across = self.c_out.div_ceil(BLOCK);
        (
            channels(self.c_in, block / across),
            channels(self.c_out, block % across),
        )
    }

    /// Adds up the shares of the gradient of [`ROWS`] input channels from `first` on, and brings them to
    /// their place among all the weights.
    fn deliver(&self, block: usize, first: usize, shares: &[f32], out: &Shared<MaybeUninit<f32>>) {
        let (c_in, c_out) = self.channels(block);
        let count = ROWS.min(c_in.len.saturating_sub(first)) * TAPS;
        let width = rounded(c_out.len);
        if count == 0 {
            return;
        }
        vectorized(
            #[inline(always)]
            || {
                let mut sums = [0.0; ROWS * TAPS * BLOCK];
                let sums = &mut sums[..count * width];
                for share in shares.chunks_exact(BLOCK_LEN) {
                    let part = &share[first * TAPS * width..][..sums.len()];
                    sums.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
                }
                for o in 0..c_out.len {
                    let at = ((c_out.first + o) * self.c_in + c_in.first + first) * TAPS;
                    let column = sums[o..].iter().step_by(width);
                    // SAFETY: these weights are written here only.
                    unsafe {
                        let out = std::slice::from_raw_parts_mut(out.range(at, count), count);
                        out.iter_mut().zip(column).for_each(|(out, &sum)| {
                            out.write(sum);
                        });
                    }
                }
            },
        );
    }
}

/// Transforms of [`TILES`] tiles and sums over tiles, of one block of channels.
struct Space {
    /// `[POINTS, apart(TILES * height)]`.
    inputs: Scratch,
    /// `[POINTS, apart(TILES * width)]`.
    grads: Scratch,
    /// `[POINTS, apart(height * width)]`.
    sums: Scratch,
}

impl Space {
    fn new() -> Self {
        Self {
            inputs: Scratch::new(POINTS * apart(TILES * BLOCK)),
            grads: Scratch::new(POINTS * apart(TILES * BLOCK)),
            sums: Scratch::new(POINTS * apart(BLOCK * BLOCK)),
        }
    }
}

struct Task<'a> {
    tiling: Tiling,
    tiles: Range<usize>,
    x: (&'a [f32], Plane, Channels),
    grad: (&'a [f32], Plane, Channels),
    space: &'a mut Space,
    height: usize,
    width: usize,
    /// `[height, 9, width]`.
    out: &'a mut [f32],
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        if self.tiles.is_empty() {
            self.space.sums.fill(0.0);
        }
        for first in self.tiles.clone().step_by(TILES) {
            let fresh = first == self.tiles.start;
            let tiles = first..(first + TILES).min(self.tiles.end);
            let count = tiles.len();
            let (inputs, grads) = (
                Shared::new(&mut self.space.inputs),
                Shared::new(&mut self.space.grads),
            );
            let (x, grad, tiling) = (self.x, self.grad, self.tiling);
            for (i, tile) in tiles.enumerate() {
                // SAFETY: the space is this task's own.
                unsafe {
                    let inputs = (&inputs, i * self.height, apart(TILES * self.height));
                    tiling.expand::<S, Input, IN>(simd, tile, x, inputs);
                    let grads = (&grads, i * self.width, apart(TILES * self.width));
                    tiling.expand::<S, OutputAdjoint, OUT>(simd, tile, grad, grads);
                }
            }
            self.add(simd, count, fresh);
        }
        self.finish(simd);
    }
}

impl Task<'_> {
    /// Adds the products of `count` tiles to the sums, or to zero if they are `fresh`.
    #[inline(always)]
    fn add<S: Simd>(&mut self, simd: S, count: usize, fresh: bool) {
        let (height, width) = (self.height, self.width);
        let space = &mut *self.space;
        for point in 0..POINTS {
            let products = OuterProducts {
                a: &space.inputs[point * apart(TILES * height)..],
                a_step: height,
                b: &space.grads[point * apart(TILES * width)..],
                count,
                rows: self.x.2.len,
                width,
                fresh,
            };
            products.add(simd, &mut space.sums[point * apart(height * width)..]);
        }
    }

    /// Writes `Gᵀ dU G`.
    #[inline(always)]
    fn finish<S: Simd>(&mut self, simd: S) {
        let (height, width) = (self.height, self.width);
        let (sums, step) = (&self.space.sums, apart(height * width));
        let rows = self.x.2.len;
        assert!(POINTS * step <= sums.len() && TAPS * height * width <= self.out.len());
        assert!(width.is_multiple_of(S::F32_LANES));
        for at in (0..rows * width).step_by(S::F32_LANES) {
            let mut half = [[simd.splat_f32s(0.0); 3]; IN];
            for (j, column) in half.iter_mut().enumerate() {
                let mut values = [simd.splat_f32s(0.0); IN];
                for (i, value) in values.iter_mut().enumerate() {
                    // SAFETY: asserted above.
                    *value = unsafe { load::<S>(sums.as_ptr().add((i * IN + j) * step + at)) };
                }
                *column = weight_adjoint(simd, values);
            }
            let to = at / width * TAPS * width + at % width;
            for i in 0..3 {
                let row = half.map(|column| column[i]);
                for (j, &value) in weight_adjoint(simd, row).iter().enumerate() {
                    // SAFETY: asserted above.
                    unsafe {
                        let out = self.out.as_mut_ptr().add(to + (i * 3 + j) * width);
                        store::<S>(out, value);
                    }
                }
            }
        }
    }
}
