//! Convolution with zero padding and stride 1, and its gradient with respect to the input.
//!
//! ```text
//! out[p, o] = bias[o] + Σ_(tap, i) x[p + tap, i] W[o, i, tap]
//! ```
//!
//! A sample is copied into a buffer with a border of zeros. There, the inputs of a pixel under one row of
//! the kernel are `kernel · c_in` consecutive values, so the inner loop needs no other rearrangement.

use std::mem::MaybeUninit;

use pulp::{Arch, MemMask, Simd, WithSimd};

use super::packing::Packed;
use super::parallel::{for_each_piece_with, written};
use super::product::{
    FEW_ROWS, LINE, MANY_ROWS, PANEL_VECTORS, Run, Tile, accumulate, load, load_part, store,
    store_part,
};

/// One-pixel samples that are taken together: a multiple of the rows of every tile.
const POOL: usize = 64;

/// Extent of a convolution's images: `batch` samples of `height` by `width` pixels, a square `kernel` of odd side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) batch: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) kernel: usize,
}

impl Geometry {
    /// Pixels of one sample.
    pub(crate) fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// Values between the rows of a padded image.
    pub(crate) fn padded_row(&self, channels: usize) -> usize {
        (self.width + self.kernel - 1) * channels
    }

    /// Values of a padded image.
    pub(crate) fn padded_len(&self, channels: usize) -> usize {
        (self.height + self.kernel - 1) * self.padded_row(channels)
    }

    /// The same for a vector of one-pixel samples under a kernel of one: rows of up to `POOL` pixels, so that tiles are
    /// full and threads have pieces of their own.
    fn pooled(self, shared_bias: bool) -> Self {
        if self.kernel == 1 && self.pixels() == 1 && shared_bias {
            return Self {
                batch: self.batch.div_ceil(POOL),
                height: 1,
                width: POOL.min(self.batch),
                kernel: 1,
            };
        }
        self
    }
}

/// Copies one sample into the inside of a padded image, leaving the border as it is.
pub(crate) fn pad_into(geometry: Geometry, channels: usize, sample: &[f32], padded: &mut [f32]) {
    let (border, row) = (geometry.kernel / 2, geometry.padded_row(channels));
    let len = geometry.width * channels;
    for (y, line) in sample.chunks_exact(len).enumerate() {
        let start = (y + border) * row + border * channels;
        padded[start..start + len].copy_from_slice(line);
    }
}

/// Convolves `x [B, H, W, c_in]` to `[B, H, W, c_out]`; `bias` holds one row of `c_out` values, or one for each sample.
pub(crate) fn convolve(
    geometry: Geometry,
    x: &[f32],
    packed: &Packed,
    bias: Option<&[f32]>,
) -> Vec<f32> {
    let columns = packed.columns;
    let shared_bias = bias.is_none_or(|b| b.len() == columns);
    let geometry = geometry.pooled(shared_bias);
    let channels = packed.depth / (geometry.kernel * geometry.kernel);
    let (len_in, len_out) = (geometry.pixels() * channels, geometry.pixels() * columns);
    let padded_len = if geometry.kernel == 1 {
        0
    } else {
        geometry.padded_len(channels)
    };
    let task = |padded: &mut Vec<f32>, b: usize, out: &mut [MaybeUninit<f32>]| {
        // The last of pooled rows may be shorter.
        let width = geometry.width.min(out.len() / columns);
        let geometry = Geometry { width, ..geometry };
        let sample = &x[b * len_in..][..geometry.pixels() * channels];
        let mut image = sample;
        if geometry.kernel > 1 {
            pad_into(geometry, channels, sample, padded);
            image = padded;
        }
        let row = if shared_bias { 0 } else { b * columns };
        let bias = bias.map(|rows| &rows[row..row + columns]);
        Arch::new().dispatch(Multiply {
            geometry,
            channels,
            image,
            packed,
            bias,
            out,
        });
    };
    let pixels = x.len() / channels;
    let work = pixels * packed.depth * columns;
    // SAFETY: each piece is one sample's output, and `Multiply` writes all of it.
    unsafe {
        written(pixels * columns, |out| {
            for_each_piece_with(out, len_out, work, || vec![0.0; padded_len], task);
        })
    }
}

/// One padded image times the packed weights.
struct Multiply<'a> {
    geometry: Geometry,
    channels: usize,
    image: &'a [f32],
    packed: &'a Packed,
    bias: Option<&'a [f32]>,
    out: &'a mut [MaybeUninit<f32>],
}

impl WithSimd for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if S::REGISTER_COUNT >= 32 {
            self.panels::<S, MANY_ROWS>(simd);
        } else {
            self.panels::<S, FEW_ROWS>(simd);
        }
    }
}

impl Multiply<'_> {
    #[inline(always)]
    fn panels<S: Simd, const M: usize>(mut self, simd: S) {
        let width = PANEL_VECTORS * S::F32_LANES;
        let columns = self.packed.columns;
        for first in (0..columns).step_by(width) {
            if columns - first > S::F32_LANES {
                self.panel::<S, M, PANEL_VECTORS>(simd, first);
            } else {
                self.panel::<S, M, 1>(simd, first);
            }
        }
    }

    /// The output columns from `first` on, `V` vectors wide.
    #[inline(always)]
    fn panel<S: Simd, const M: usize, const V: usize>(&mut self, simd: S, first: usize) {
        let columns = self.packed.columns;
        let valid = (columns - first).min(V * S::F32_LANES) - (V - 1) * S::F32_LANES;
        if valid == S::F32_LANES {
            self.tiles::<S, M, V, true>(simd, first, valid);
        } else {
            self.tiles::<S, M, V, false>(simd, first, valid);
        }
    }

    /// One panel, whose last vector has `valid` columns.
    #[inline(always)]
    fn tiles<S: Simd, const M: usize, const V: usize, const WHOLE: bool>(
        &mut self,
        simd: S,
        first: usize,
        valid: usize,
    ) {
        let (geometry, columns) = (self.geometry, self.packed.columns);
        let pixels = geometry.pixels();
        let tail = simd.mask_between_m32s(0, valid as u32);
        let row = geometry.padded_row(self.channels);
        let panel = self.packed.values[first * self.packed.depth..].as_ptr();
        let bias = self.bias.map(|b| b[first..].as_ptr());
        for pixel in (0..pixels).step_by(M) {
            let rows: [*const f32; M] = std::array::from_fn(|i| {
                // The last tile repeats the last pixel rather than reading past it.
                let p = (pixel + i).min(pixels - 1);
                let (y, x) = (p / geometry.width, p % geometry.width);
                self.image[y * row + x * self.channels..].as_ptr()
            });
            // SAFETY: a pixel's inputs under one kernel row lie inside the padded image, the panel holds `depth`
            // rows of `V` vectors, and bias and output are touched only where `tail` allows.
            unsafe {
                let mut acc = initial::<S, M, V, WHOLE>(simd, bias, tail);
                let len = geometry.kernel * self.channels;
                // The next panel, one of its vectors with each of the first register tiles.
                let next =
                    panel.wrapping_add((V * S::F32_LANES + pixel / M * LINE) * self.packed.depth);
                for ky in 0..geometry.kernel {
                    let ahead = (pixel < V * M).then_some(next.wrapping_add(ky * len * LINE));
                    let run = Run {
                        rows: rows.map(|at| at.add(ky * row)),
                        row_step: 1,
                        panel: panel.add(ky * len * V * S::F32_LANES),
                        panel_step: V * S::F32_LANES,
                        len,
                    };
                    accumulate::<S, M, V, false>(simd, &mut acc, run, tail, ahead);
                }
                let out = self.out[pixel * columns + first..].as_mut_ptr().cast();
                write::<S, M, V, WHOLE>(simd, &acc, out, columns, M.min(pixels - pixel), tail);
            }
        }
    }
}

/// A tile that starts at the bias, or at zero.
#[inline(always)]
unsafe fn initial<S: Simd, const M: usize, const V: usize, const WHOLE: bool>(
    simd: S,
    bias: Option<*const f32>,
    tail: MemMask<S::m32s>,
) -> Tile<S, M, V> {
    let Some(bias) = bias else {
        return [[simd.splat_f32s(0.0); V]; M];
    };
    [std::array::from_fn(|v| {
        // SAFETY: the caller vouches for the bias up to the end of `tail`.
        unsafe {
            let at = bias.add(v * S::F32_LANES);
            if v + 1 == V {
                load_part::<S, WHOLE>(simd, tail, at)
            } else {
                load::<S>(at)
            }
        }
    }); M]
}

/// Writes the first `count` rows of a tile, `step` values apart.
#[inline(always)]
unsafe fn write<S: Simd, const M: usize, const V: usize, const WHOLE: bool>(
    simd: S,
    acc: &Tile<S, M, V>,
    out: *mut f32,
    step: usize,
    count: usize,
    tail: MemMask<S::m32s>,
) {
    for (i, sums) in acc.iter().take(count).enumerate() {
        for (v, &sum) in sums.iter().enumerate() {
            // SAFETY: the caller vouches for the output up to the end of `tail`.
            unsafe {
                let at = out.add(i * step + v * S::F32_LANES);
                if v + 1 == V {
                    store_part::<S, WHOLE>(simd, tail, at, sum);
                } else {
                    store::<S>(at, sum);
                }
            }
        }
    }
}
