//! The gradient of the weights: `dW = Gᵀ dU G`, `dU[ξ] = Σ_tiles V[ξ]ᵀ dM[ξ]`.
//!
//! A task owns a block of input channels, a block of output channels and a share of the tiles, whose transforms and sums
//! stay in the cache. Which tiles a share holds follows from the shape alone, and shares are added in order.

use std::mem::MaybeUninit;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::tiles::{Channels, Tiling};
use super::transform::{IN, Input, OUT, OutputAdjoint, POINTS, TAPS, weight_adjoint};
use crate::kernels::conv::Geometry;
use crate::kernels::packing::{apart, lanes};
use crate::kernels::parallel::{for_each_piece, for_each_piece_with, written};
use crate::kernels::product::{
    FEW_ROWS, LINE, MANY_ROWS, PANEL_VECTORS, Run, Tile, accumulate, load, store,
};
use crate::kernels::scratch::Scratch;

/// Channels of a block, in and out.
const BLOCK: usize = 64;

/// Tiles that are transformed together.
const TILES: usize = 32;

/// Tasks to aim for, so that a few threads have pieces enough.
const TASKS: usize = 16;

/// Tiles of a share below which its sums cost more than its products.
const MIN_SHARE: usize = 64;

/// Gradient of the weights, `[c_out, c_in, 3, 3]`, from the input and the gradient of the output.
pub(crate) fn weight_gradient(
    geometry: Geometry,
    x: &[f32],
    grad: &[f32],
    (c_out, c_in): (usize, usize),
) -> Vec<f32> {
    let tiling = Tiling::new(geometry);
    let blocks = (c_in.div_ceil(BLOCK), c_out.div_ceil(BLOCK));
    let shares = TASKS
        .div_ceil(blocks.0 * blocks.1)
        .min(tiling.count / MIN_SHARE)
        .max(1);
    let per_share = tiling.count.div_ceil(shares);
    let width = BLOCK.min(c_out.next_multiple_of(lanes()));
    // Whole register tiles, however short vectors are.
    let height = BLOCK.min(c_in.next_multiple_of(lanes().max(MANY_ROWS)));
    // Gradients of each task's weights, `[9, height, width]`.
    let len = TAPS * height * width;
    let work = tiling.count * POINTS * c_in * c_out;
    let task = |space: &mut Space, i: usize, out: &mut [MaybeUninit<f32>]| {
        let (share, block) = (i % shares, i / shares);
        let first = share * per_share;
        Arch::new().dispatch(Task {
            tiling,
            tiles: first..(first + per_share).min(tiling.count),
            x: (x, channels(c_in, block / blocks.1)),
            grad: (grad, channels(c_out, block % blocks.1)),
            space,
            height,
            width,
            out,
        });
    };
    let space = || Space::new(height, width);
    // SAFETY: each piece is a task's, which writes all of it.
    let partial = unsafe {
        written(blocks.0 * blocks.1 * shares * len, |out| {
            for_each_piece_with(out, len, work, space, task);
        })
    };
    in_weight_order(&partial, (shares, height, width), (c_out, c_in))
}

/// The channels of block `block` among `c`.
fn channels(c: usize, block: usize) -> Channels {
    let first = block * BLOCK;
    Channels {
        step: c,
        first,
        len: (c - first).min(BLOCK),
    }
}

/// Adds up shares, to `[c_out, c_in, tap]`.
fn in_weight_order(
    partial: &[f32],
    (shares, height, width): (usize, usize, usize),
    (c_out, c_in): (usize, usize),
) -> Vec<f32> {
    /// Output channels of a piece: as many values as a cache line holds are taken from each row.
    const TOGETHER: usize = LINE;
    let out_blocks = c_out.div_ceil(BLOCK);
    let (len, per_channel) = (TAPS * height * width, c_in * TAPS);
    let task = |p: usize, weights: &mut [MaybeUninit<f32>]| {
        let (first, channels) = (p * TOGETHER, weights.len() / per_channel);
        for i in 0..c_in {
            let block = i / BLOCK * out_blocks + first / BLOCK;
            for tap in 0..TAPS {
                let at = (tap * height + i % BLOCK) * width + first % BLOCK;
                let mut sums = [0.0; TOGETHER];
                for share in block * shares..(block + 1) * shares {
                    let row = &partial[share * len + at..][..channels];
                    sums.iter_mut()
                        .zip(row)
                        .for_each(|(sum, value)| *sum += value);
                }
                for (o, &sum) in sums[..channels].iter().enumerate() {
                    weights[o * per_channel + i * TAPS + tap].write(sum);
                }
            }
        }
    };
    // SAFETY: each piece holds the weights of some output channels, all of which are written.
    unsafe {
        written(c_out * per_channel, |out| {
            for_each_piece(out, TOGETHER * per_channel, partial.len(), task);
        })
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
    fn new(height: usize, width: usize) -> Self {
        Self {
            inputs: Scratch::new(POINTS * apart(TILES * height)),
            grads: Scratch::new(POINTS * apart(TILES * width)),
            sums: Scratch::new(POINTS * apart(height * width)),
        }
    }
}

struct Task<'a> {
    tiling: Tiling,
    tiles: Range<usize>,
    x: (&'a [f32], Channels),
    grad: (&'a [f32], Channels),
    space: &'a mut Space,
    height: usize,
    width: usize,
    out: &'a mut [MaybeUninit<f32>],
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
            for (i, tile) in tiles.enumerate() {
                let (inputs, grads) = (&mut self.space.inputs, &mut self.space.grads);
                let (x, grad, tiling) = (self.x, self.grad, self.tiling);
                let inputs = (&mut inputs[i * self.height..], apart(TILES * self.height));
                tiling.expand::<S, Input, IN>(simd, tile, x, inputs.0, inputs.1);
                let grads = (&mut grads[i * self.width..], apart(TILES * self.width));
                tiling.expand::<S, OutputAdjoint, OUT>(simd, tile, grad, grads.0, grads.1);
            }
            if self.width.is_multiple_of(PANEL_VECTORS * S::F32_LANES) {
                self.add::<S, PANEL_VECTORS>(simd, count, fresh);
            } else {
                self.add::<S, 1>(simd, count, fresh);
            }
        }
        self.finish(simd);
    }
}

impl Task<'_> {
    /// Adds the products of `count` tiles to the sums, or to zero if they are `fresh`, panels of `V` vectors at a time.
    #[inline(always)]
    fn add<S: Simd, const V: usize>(&mut self, simd: S, count: usize, fresh: bool) {
        if S::REGISTER_COUNT >= 32 {
            self.add_rows::<S, MANY_ROWS, V>(simd, count, fresh);
        } else {
            self.add_rows::<S, FEW_ROWS, V>(simd, count, fresh);
        }
    }

    #[inline(always)]
    fn add_rows<S: Simd, const M: usize, const V: usize>(
        &mut self,
        simd: S,
        count: usize,
        fresh: bool,
    ) {
        let (height, width) = (self.height, self.width);
        let rows = self.x.1.len.next_multiple_of(M).min(height);
        let all = simd.mask_between_m32s(0, S::F32_LANES as u32);
        let space = &mut *self.space;
        assert!(count <= TILES && rows.is_multiple_of(M) && width.is_multiple_of(V * S::F32_LANES));
        for point in 0..POINTS {
            let inputs = space.inputs[point * apart(TILES * height)..][..TILES * height].as_ptr();
            let grads = space.grads[point * apart(TILES * width)..][..TILES * width].as_ptr();
            let sums = space.sums[point * apart(height * width)..][..height * width].as_mut_ptr();
            for row in (0..rows).step_by(M) {
                for column in (0..width).step_by(V * S::F32_LANES) {
                    // SAFETY: rows and columns lie within their blocks, as asserted above.
                    unsafe {
                        let at = |i: usize, v: usize| {
                            sums.add((row + i) * width + column + v * S::F32_LANES)
                        };
                        let run = Run {
                            rows: std::array::from_fn(|i| inputs.add(row + i)),
                            row_step: height,
                            panel: grads.add(column),
                            panel_step: width,
                            len: count,
                        };
                        let mut acc: Tile<S, M, V> = [[simd.splat_f32s(0.0); V]; M];
                        if !fresh {
                            acc = std::array::from_fn(|i| {
                                std::array::from_fn(|v| load::<S>(at(i, v)))
                            });
                        }
                        accumulate::<S, M, V, false>(simd, &mut acc, run, all, None);
                        for (i, values) in acc.iter().enumerate() {
                            for (v, &value) in values.iter().enumerate() {
                                store::<S>(at(i, v), value);
                            }
                        }
                    }
                }
            }
        }
    }

    /// Writes `Gᵀ dU G`.
    #[inline(always)]
    fn finish<S: Simd>(&mut self, simd: S) {
        let plane = self.height * self.width;
        let (sums, step) = (&self.space.sums, apart(plane));
        assert!(POINTS * step <= sums.len() && TAPS * plane <= self.out.len());
        assert!(plane.is_multiple_of(S::F32_LANES));
        for at in (0..plane).step_by(S::F32_LANES) {
            let mut half = [[simd.splat_f32s(0.0); 3]; IN];
            for (j, column) in half.iter_mut().enumerate() {
                let mut values = [simd.splat_f32s(0.0); IN];
                for (i, value) in values.iter_mut().enumerate() {
                    // SAFETY: asserted above.
                    *value = unsafe { load::<S>(sums.as_ptr().add((i * IN + j) * step + at)) };
                }
                *column = weight_adjoint(simd, values);
            }
            for i in 0..3 {
                let row = half.map(|column| column[i]);
                for (j, &value) in weight_adjoint(simd, row).iter().enumerate() {
                    // SAFETY: asserted above.
                    unsafe {
                        let to = self.out.as_mut_ptr().add((i * 3 + j) * plane + at);
                        store::<S>(to.cast(), value);
                    }
                }
            }
        }
    }
}
