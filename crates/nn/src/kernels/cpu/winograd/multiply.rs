//! The convolution itself: tiles in, products, tiles out.
//!
//! The transforms of either the inputs or the weights are used over and over, while those of the other pass
//! by in blocks that stay in the cache. Which of them is whole in memory is a question of their sizes, and
//! changes no sum.

use std::array::from_fn;
use std::mem::MaybeUninit;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::tiles::{Channels, Tiling};
use super::transform::{IN, Input, POINTS};
use super::weights::Panels;
use crate::kernels::cpu::bias::Bias;
use crate::kernels::cpu::geometry::Geometry;
use crate::kernels::cpu::packing::{Weights, apart};
use crate::kernels::cpu::parallel::{Shared, for_each_index_with, written};
use crate::kernels::cpu::product::{
    FEW_ROWS, LINE, MANY_ROWS, PANEL_VECTORS, Run, Tile, accumulate, lanes, store, tile_rows,
};
use crate::kernels::cpu::scratch::{MOST_KEPT, Scratch};

/// Transformed inputs of a block of tiles, in values: 1.25 MiB, which leave a second-level cache of 2 MiB
/// room for weights and products.
const BLOCK_VALUES: usize = 320 << 10;

/// Tiles of a block beyond which products of one panel take more room than they save.
const MAX_TILES: usize = 64;

/// Tiles for each column of the weights up to which the inputs are whole in memory, and not the weights.
const FEW_TILES: usize = 2;

/// Panels of weights with which a few threads have pieces enough.
const MIN_PANELS: usize = 4;

/// Convolves `x [B, H, W, c_in]` to `[B, H', W', c_out]`; `bias` holds one row of `c_out` values, or one for
/// each sample.
pub(crate) fn convolve(
    geometry: Geometry,
    x: &[f32],
    weights: Weights,
    bias: Option<&[f32]>,
) -> Vec<f32> {
    let tiling = Tiling::new(geometry);
    let panels = Panels::new(weights);
    let columns = panels.columns();
    let bias = bias.map(|values| Bias::new(values, geometry.batch, columns));
    let convolution = Convolution {
        tiling,
        x,
        panels,
        bias,
        step: apart(panels.depth().next_multiple_of(lanes())),
    };
    // SAFETY: both ways write all channels of all tiles, which together are every pixel.
    unsafe {
        written(geometry.batch * geometry.pixels_out() * columns, |out| {
            let out = Shared::new(out);
            if convolution.has_few_tiles() {
                convolution.by_panels(&out);
            } else {
                convolution.by_blocks(&out);
            }
        })
    }
}

type Output<'a> = Shared<'a, MaybeUninit<f32>>;

#[derive(Clone, Copy)]
struct Convolution<'a> {
    tiling: Tiling,
    x: &'a [f32],
    panels: Panels<'a>,
    bias: Option<Bias<'a>>,
    /// Distance between the transforms of one tile and of the next.
    step: usize,
}

impl Convolution<'_> {
    fn work(&self) -> usize {
        self.tiling.count * POINTS * self.panels.depth() * self.panels.columns()
    }

    /// Whether the inputs are to be transformed as a whole, and not the weights: there are few, and a thread keeps the room
    /// for them.
    fn has_few_tiles(&self) -> bool {
        let (count, columns) = (self.tiling.count, self.panels.columns());
        count <= FEW_TILES * columns
            && self.panels.count() >= MIN_PANELS
            && POINTS * count * self.step <= MOST_KEPT
    }

    /// Blocks of tiles, each with all the weights.
    fn by_blocks(&self, out: &Output<'_>) {
        let (count, panels) = (self.tiling.count, self.panels);
        let tiles = tiles_per_block(count, self.step);
        let weights = panels.all();
        let blocks = count.div_ceil(tiles);
        let scratch = || Scratch::new(POINTS * apart(tiles * self.step));
        for_each_index_with(blocks, self.work(), scratch, |inputs, block| {
            let first = block * tiles;
            let tiles = first..(first + tiles).min(count);
            let step = apart(tiles.len() * self.step);
            self.expand(tiles.clone(), (&Shared::new(inputs), 0), step);
            for p in 0..panels.count() {
                let weights = &weights[p * panels.len(0)..][..panels.len(p)];
                self.multiply(p, weights, tiles.clone(), (inputs, step), out);
            }
        });
    }

    /// Panels of weights, each with all the tiles.
    fn by_panels(&self, out: &Output<'_>) {
        let (count, panels) = (self.tiling.count, self.panels);
        let step = apart(count * self.step);
        let mut inputs = Scratch::new(POINTS * step);
        self.expand_all(&Shared::new(&mut inputs), step);
        let tiles = MAX_TILES / tile_rows() * tile_rows();
        let scratch = || Scratch::new(panels.len(0));
        for_each_index_with(panels.count(), self.work(), scratch, |weights, p| {
            let weights = &mut weights[..panels.len(p)];
            panels.transform(p, weights);
            for first in (0..count).step_by(tiles) {
                let inputs = (&inputs[first * self.step..], step);
                self.multiply(p, weights, first..(first + tiles).min(count), inputs, out);
            }
        });
    }

    /// Transforms the inputs of all tiles, point `ξ` of tile `i` to `ξ * step + i * self.step`.
    fn expand_all(&self, out: &Shared<f32>, step: usize) {
        let count = self.tiling.count;
        let work = count * POINTS * self.panels.depth() * 8;
        for_each_index_with(
            count.div_ceil(MANY_ROWS),
            work,
            || (),
            |(), block| {
                let first = block * MANY_ROWS;
                let tiles = first..(first + MANY_ROWS).min(count);
                self.expand(tiles, (out, first * self.step), step);
            },
        );
    }

    /// Transforms the inputs of some tiles, point `ξ` of the `i`th to `to + ξ * step + i * self.step`.
    fn expand(&self, tiles: Range<usize>, (out, to): (&Shared<f32>, usize), step: usize) {
        Arch::new().dispatch(Expand {
            convolution: self,
            tiles,
            out,
            to,
            step,
        });
    }

    /// Writes the outputs of some tiles that come of panel `p` of the weights, from their transformed inputs
    /// and the distance between points.
    fn multiply(
        &self,
        p: usize,
        weights: &[f32],
        tiles: Range<usize>,
        (inputs, input_step): (&[f32], usize),
        out: &Output<'_>,
    ) {
        let width = self.panels.width(p);
        let mut products = Scratch::new(POINTS * apart(tiles.len() * width));
        Arch::new().dispatch(Products {
            depth: self.panels.depth(),
            width,
            weights,
            count: tiles.len(),
            inputs,
            step: (input_step, self.step),
            products: &mut products,
        });
        Arch::new().dispatch(Collect {
            convolution: self,
            tiles,
            products: &products,
            columns: self.panels.range(p),
            width,
            out,
        });
    }
}

/// Tiles that are transformed together: whole register tiles, and pieces enough for a few threads.
fn tiles_per_block(count: usize, step: usize) -> usize {
    let fit = BLOCK_VALUES / (POINTS * step);
    let shared = count.div_ceil(4);
    let tiles = fit.min(MAX_TILES).min(shared);
    (tiles / tile_rows() * tile_rows()).max(tile_rows())
}

/// `V = Bᵀ d B` of some tiles.
struct Expand<'a> {
    convolution: &'a Convolution<'a>,
    tiles: Range<usize>,
    out: &'a Shared<'a, f32>,
    to: usize,
    step: usize,
}

impl WithSimd for Expand<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let convolution = self.convolution;
        let tiling = convolution.tiling;
        let channels = Channels::all(convolution.panels.depth());
        let x = (convolution.x, tiling.inputs, channels);
        for (i, tile) in self.tiles.enumerate() {
            // SAFETY: every tile has its places, and is transformed by one task.
            unsafe {
                let out = (self.out, self.to + i * convolution.step, self.step);
                tiling.expand::<S, Input, IN>(simd, tile, x, out);
            }
        }
    }
}

/// `M[ξ] = V[ξ] U[ξ]` of some tiles and one panel.
struct Products<'a> {
    depth: usize,
    width: usize,
    /// `[POINTS, apart(depth * width)]`.
    weights: &'a [f32],
    /// Number of tiles.
    count: usize,
    inputs: &'a [f32],
    /// Between points and between tiles of the inputs.
    step: (usize, usize),
    /// `[POINTS, apart(count * width)]`.
    products: &'a mut [f32],
}

impl WithSimd for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        if S::REGISTER_COUNT >= 32 {
            self.rows::<S, MANY_ROWS>(simd);
        } else {
            self.rows::<S, FEW_ROWS>(simd);
        }
    }
}

impl Products<'_> {
    #[inline(always)]
    fn rows<S: Simd, const M: usize>(&mut self, simd: S) {
        if self.width == PANEL_VECTORS * S::F32_LANES {
            self.tiles::<S, M, PANEL_VECTORS>(simd);
        } else {
            self.tiles::<S, M, 1>(simd);
        }
    }

    #[inline(always)]
    fn tiles<S: Simd, const M: usize, const V: usize>(&mut self, simd: S) {
        let (depth, count, width) = (self.depth, self.count, V * S::F32_LANES);
        let all = simd.mask_between_m32s(0, S::F32_LANES as u32);
        let (panel_step, product_step) = (apart(depth * width), apart(count * width));
        let (input_step, tile_step) = self.step;
        assert!(width == self.width && POINTS * panel_step <= self.weights.len());
        assert!(depth <= tile_step);
        assert!((POINTS - 1) * input_step + count * tile_step <= self.inputs.len());
        assert!(POINTS * product_step <= self.products.len());
        for point in 0..POINTS {
            let inputs = self.inputs[point * input_step..].as_ptr();
            let products = self.products[point * product_step..].as_mut_ptr();
            for tile in (0..count).step_by(M) {
                // SAFETY: asserted above; rows past the last tile repeat it and are not written.
                unsafe {
                    let panel = self.weights.as_ptr().add(point * panel_step);
                    // The next point's weights: where a vector is a cache line, half with each of the first
                    // two register tiles.
                    let ahead = panel.wrapping_add(panel_step + tile / M * depth * LINE);
                    let run = Run {
                        rows: from_fn(|i| inputs.add((tile + i).min(count - 1) * tile_step)),
                        row_step: 1,
                        panel,
                        panel_step: width,
                        len: depth,
                    };
                    let mut acc: Tile<S, M, V> = [[simd.splat_f32s(0.0); V]; M];
                    let ahead = (tile * LINE < width * M).then_some(ahead);
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

/// `Y = Aᵀ M A` of some tiles, and the bias.
struct Collect<'a> {
    convolution: &'a Convolution<'a>,
    tiles: Range<usize>,
    /// `[POINTS, apart(tiles * width)]`.
    products: &'a [f32],
    columns: Range<usize>,
    width: usize,
    out: &'a Output<'a>,
}

impl WithSimd for Collect<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let convolution = self.convolution;
        let channels = Channels {
            step: convolution.panels.columns(),
            first: self.columns.start,
            len: self.columns.len(),
        };
        let step = apart(self.tiles.len() * self.width);
        for (i, tile) in self.tiles.enumerate() {
            let products = (&self.products[i * self.width..], step);
            // SAFETY: the output holds every pixel, and these channels of this tile are written here only.
            unsafe {
                let (tiling, bias) = (convolution.tiling, convolution.bias);
                tiling.collect(simd, tile, products, bias, (self.out, channels));
            }
        }
    }
}
