//! The convolution itself: tiles in, products, tiles out.

use std::mem::MaybeUninit;

use pulp::{Arch, Simd, WithSimd};

use super::tiles::{Bias, Channels, Tiling};
use super::transform::{IN, Input, POINTS};
use super::weights::Transformed;
use crate::kernels::conv::Geometry;
use crate::kernels::packing::{apart, lanes};
use crate::kernels::parallel::{for_each_index_with, written};
use crate::kernels::product::{
    FEW_ROWS, LINE, MANY_ROWS, PANEL_VECTORS, Run, Tile, accumulate, store,
};
use crate::kernels::scratch::Scratch;

/// Transformed inputs of a block of tiles, in values: 1.25 MiB, which leave a second-level cache of 2 MiB room for weights and
/// products.
const BLOCK_VALUES: usize = 320 << 10;

/// Tiles of a block beyond which products of one panel take more room than they save.
const MAX_TILES: usize = 64;

/// Convolves `x [B, H, W, c_in]` to `[B, H, W, c_out]`; `bias` holds one row of `c_out` values, or one for each sample.
pub(crate) fn convolve(
    geometry: Geometry,
    x: &[f32],
    weights: &Transformed,
    bias: Option<&[f32]>,
) -> Vec<f32> {
    let tiling = Tiling::new(geometry);
    let (depth, columns) = (weights.depth, weights.columns);
    let shared_bias = bias.is_none_or(|b| b.len() == columns);
    let bias = Bias {
        values: bias,
        step: if shared_bias { 0 } else { columns },
    };
    let step = apart(depth.next_multiple_of(lanes()));
    let tiles = tiles_per_block(tiling.count, step);
    let width = PANEL_VECTORS * lanes();
    let scratch = || {
        let values = |row: usize| Scratch::new(POINTS * apart(tiles * row));
        (values(step), values(width))
    };
    let work = tiling.count * POINTS * depth * columns;
    // SAFETY: blocks are apart from each other, and together their tiles write every pixel.
    unsafe {
        written(geometry.batch * geometry.pixels() * columns, |out| {
            let out = Output(out.as_mut_ptr());
            let block = |(inputs, products): &mut (Scratch, Scratch), block: usize| {
                let first = block * tiles;
                Arch::new().dispatch(Block {
                    tiling,
                    tiles: first..(first + tiles).min(tiling.count),
                    x,
                    weights,
                    bias,
                    inputs,
                    products,
                    step,
                    out: &out,
                });
            };
            for_each_index_with(tiling.count.div_ceil(tiles), work, scratch, block);
        })
    }
}

/// Tiles that are transformed together: whole register tiles, and pieces enough for a few threads.
fn tiles_per_block(count: usize, step: usize) -> usize {
    let fit = BLOCK_VALUES / (POINTS * step);
    let shared = count.div_ceil(4);
    let tiles = fit.min(MAX_TILES).min(shared);
    (tiles / MANY_ROWS * MANY_ROWS).max(MANY_ROWS)
}

/// Where blocks write.
struct Output(*mut MaybeUninit<f32>);

// SAFETY: blocks write to pixels of their own.
unsafe impl Sync for Output {}

/// Some consecutive tiles.
struct Block<'a> {
    tiling: Tiling,
    tiles: std::ops::Range<usize>,
    x: &'a [f32],
    weights: &'a Transformed,
    bias: Bias<'a>,
    /// Transformed inputs, `[POINTS, apart(tiles * step)]`.
    inputs: &'a mut [f32],
    /// Products of one panel, `[POINTS, apart(tiles * width)]`.
    products: &'a mut [f32],
    step: usize,
    out: &'a Output,
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (depth, count) = (self.weights.depth, self.tiles.len());
        let channels = Channels {
            step: depth,
            first: 0,
            len: depth,
        };
        for (i, tile) in self.tiles.clone().enumerate() {
            let out = &mut self.inputs[i * self.step..];
            let x = (self.x, channels);
            self.tiling
                .expand::<S, Input, IN>(simd, tile, x, out, apart(count * self.step));
        }
        let columns = self.weights.columns;
        for first in (0..columns).step_by(PANEL_VECTORS * S::F32_LANES) {
            let (panel, width) = self.weights.panel(first);
            if S::REGISTER_COUNT >= 32 {
                self.multiply::<S, MANY_ROWS>(simd, panel, width);
            } else {
                self.multiply::<S, FEW_ROWS>(simd, panel, width);
            }
            let channels = Channels {
                step: columns,
                first,
                len: (columns - first).min(width),
            };
            for (i, tile) in self.tiles.clone().enumerate() {
                let products = (&self.products[i * width..], apart(count * width));
                // SAFETY: the output holds every pixel, and those of this block are written here only.
                unsafe {
                    let out = (self.out.0, channels);
                    self.tiling.collect(simd, tile, products, self.bias, out);
                }
            }
        }
    }
}

impl Block<'_> {
    /// `M[ξ] = V[ξ] U[ξ]` for one panel.
    #[inline(always)]
    fn multiply<S: Simd, const M: usize>(&mut self, simd: S, panel: &[f32], width: usize) {
        if width == PANEL_VECTORS * S::F32_LANES {
            self.products::<S, M, PANEL_VECTORS>(simd, panel);
        } else {
            self.products::<S, M, 1>(simd, panel);
        }
    }

    #[inline(always)]
    fn products<S: Simd, const M: usize, const V: usize>(&mut self, simd: S, panel: &[f32]) {
        let (depth, count, width) = (self.weights.depth, self.tiles.len(), V * S::F32_LANES);
        let all = simd.mask_between_m32s(0, S::F32_LANES as u32);
        let (panel_step, input_step, product_step) = (
            apart(depth * width),
            apart(count * self.step),
            apart(count * width),
        );
        assert!(POINTS * panel_step <= panel.len());
        assert!(POINTS * input_step <= self.inputs.len());
        assert!(POINTS * product_step <= self.products.len());
        for point in 0..POINTS {
            let inputs = self.inputs[point * input_step..].as_ptr();
            let products = self.products[point * product_step..].as_mut_ptr();
            for tile in (0..count).step_by(M) {
                // SAFETY: asserted above; rows past the last tile repeat it and are not written.
                unsafe {
                    let panel = panel.as_ptr().add(point * panel_step);
                    // The next point's weights: where a vector is a cache line, half with each of the first two register tiles.
                    let ahead = panel.wrapping_add(panel_step + tile / M * depth * LINE);
                    let run = Run {
                        rows: std::array::from_fn(|i| {
                            inputs.add((tile + i).min(count - 1) * self.step)
                        }),
                        row_step: 1,
                        panel,
                        panel_step: width,
                        len: depth,
                    };
                    let mut acc: Tile<S, M, V> = [[simd.splat_f32s(0.0); V]; M];
                    let ahead = (tile < V * M).then_some(ahead);
                    accumulate::<S, M, V, false>(simd, &mut acc, run, all, ahead);
                    for (i, sums) in acc.iter().take(count - tile).enumerate() {
                        for (v, &sum) in sums.iter().enumerate() {
                            store::<S>(products.add((tile + i) * width + v * S::F32_LANES), sum);
                        }
                    }
                }
            }
        }
    }
}
