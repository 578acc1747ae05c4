//! Convolution, and its gradient with respect to the input.
//!
//! ```text
//! out[p, o] = bias[o] + Σ_(tap, i) x[stride · p + tap, i] W[o, i, tap]
//! ```
//!
//! Samples are copied into a buffer with all their zeros, `x`. There, the inputs of a pixel under one row of
//! the kernel are `kernel · c_in` consecutive values, so the inner loop needs no other rearrangement.

use std::array::from_fn;
use std::mem::MaybeUninit;
use std::ops::Range;

use pulp::{Arch, MemMask, Simd, WithSimd};

use super::bias::Bias;
use super::geometry::Geometry;
use super::packing::Packed;
use super::parallel::{Shared, for_each_index_with, written};
use super::product::{
    FEW_ROWS, LINE, MANY_ROWS, PANEL_VECTORS, Run, Tile, accumulate, lanes, load, load_part, store,
    store_part,
};

/// Inputs of a block of pixels, in values: 128 KiB, which leave a second-level cache of 512 KiB room for a panel of
/// weights.
const BLOCK_VALUES: usize = 32 << 10;

/// Pixels of a block at least, so that weights are read for several: whole register tiles of either height.
const MIN_PIXELS: usize = 48;

/// Pixels of a block at most.
const MAX_PIXELS: usize = 480;

/// Pieces to aim for, so that a few threads have enough.
const PIECES: usize = 16;

/// Values of padded images that are made at a time: 16 MiB.
const PADDED_VALUES: usize = 4 << 20;

/// Convolves `x [B, H, W, c_in]` to `[B, H', W', c_out]`; `bias` holds one row of `c_out` values, or one for
/// each sample.
pub(crate) fn convolve(
    geometry: Geometry,
    x: &[f32],
    packed: &Packed,
    bias: Option<&[f32]>,
) -> Vec<f32> {
    let columns = packed.columns;
    let channels = packed.depth / (geometry.kernel * geometry.kernel);
    let (len_in, len_out) = (
        geometry.pixels_in() * channels,
        geometry.pixels_out() * columns,
    );
    assert_eq!(x.len(), geometry.batch * len_in, "inputs of every sample");
    let bias = bias.map(|values| Bias::new(values, geometry.batch, columns));
    let together = (PADDED_VALUES / geometry.padded_len(channels)).max(1);
    // SAFETY: the outputs of every sample are written.
    unsafe {
        written(geometry.batch * len_out, |out| {
            if geometry.is_pointwise() {
                return multiply(geometry, (x, 0), packed, bias, out);
            }
            for (i, out) in out.chunks_mut(together * len_out).enumerate() {
                let first = i * together;
                let geometry = Geometry {
                    batch: out.len() / len_out,
                    ..geometry
                };
                let x = &x[first * len_in..][..geometry.batch * len_in];
                multiply(
                    geometry,
                    (&geometry.pad(channels, x), first),
                    packed,
                    bias,
                    out,
                );
            }
        })
    }
}

/// The products of padded images, of samples from `first_sample` on.
fn multiply(
    geometry: Geometry,
    (image, first_sample): (&[f32], usize),
    packed: &Packed,
    bias: Option<Bias>,
    out: &mut [MaybeUninit<f32>],
) {
    let columns = packed.columns;
    let channels = packed.depth / (geometry.kernel * geometry.kernel);
    let pixels = geometry.batch * geometry.pixels_out();
    let block = (BLOCK_VALUES / channels / MIN_PIXELS * MIN_PIXELS).clamp(MIN_PIXELS, MAX_PIXELS);
    let blocks = pixels.div_ceil(block);
    // Where blocks of pixels are few, each is split by columns.
    let width = PANEL_VECTORS * lanes();
    let panels = columns.div_ceil(width);
    let groups = PIECES.div_ceil(blocks.max(1)).min(panels);
    let group = panels.div_ceil(groups) * width;
    let groups = columns.div_ceil(group);
    let work = pixels * packed.depth * columns;
    let out = Shared::new(out);
    for_each_index_with(blocks * groups, work, Vec::new, |sources, piece| {
        let (first, column) = (piece / groups * block, piece % groups * group);
        let pixels = first..(first + block).min(pixels);
        sources.clear();
        sources.extend(pixels.clone().map(|p| Source::new(geometry, channels, p)));
        Arch::new().dispatch(Multiply {
            geometry,
            channels,
            image,
            sources,
            packed,
            bias,
            first_sample,
            columns: column..(column + group).min(columns),
            // SAFETY: no other piece has these columns of these pixels.
            out: unsafe { out.range(first * columns, pixels.len() * columns) },
        });
    });
}

/// Where the inputs of one output pixel begin.
#[derive(Clone, Copy)]
struct Source {
    sample: usize,
    offset: usize,
}

impl Source {
    /// For output pixel `p` of the batch.
    fn new(geometry: Geometry, channels: usize, p: usize) -> Self {
        let (sample, p) = (p / geometry.pixels_out(), p % geometry.pixels_out());
        let (y, x) = (p / geometry.out.1, p % geometry.out.1);
        let within = y * geometry.padded_row(channels) + x * channels;
        Self {
            sample,
            offset: sample * geometry.padded_len(channels) + within * geometry.stride,
        }
    }
}

/// Some output pixels of padded images, and some of their columns.
struct Multiply<'a> {
    geometry: Geometry,
    channels: usize,
    image: &'a [f32],
    sources: &'a [Source],
    packed: &'a Packed,
    bias: Option<Bias<'a>>,
    /// The sample of the bias whose image is the first.
    first_sample: usize,
    columns: Range<usize>,
    /// Where the first column of the first pixel goes.
    out: *mut MaybeUninit<f32>,
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
        for first in self.columns.clone().step_by(width) {
            if self.packed.columns - first > S::F32_LANES {
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
        let tail = simd.mask_between_m32s(0, valid as u32);
        let row = geometry.padded_row(self.channels);
        let len = geometry.kernel * self.channels;
        let panel = self.packed.values[first * self.packed.depth..].as_ptr();
        for (i, pixels) in self.sources.chunks(M).enumerate() {
            // The last tile repeats the last pixel rather than reading past it.
            let sources: [Source; M] = from_fn(|i| pixels[i.min(pixels.len() - 1)]);
            let bias = self.bias.map(|bias| {
                sources.map(|source| bias.row(self.first_sample + source.sample)[first..].as_ptr())
            });
            let rows = sources.map(|source| self.image[source.offset..].as_ptr());
            // SAFETY: a pixel's inputs under one kernel row lie inside the padded image, the panel holds `depth`
            // rows of `V` vectors, and bias and output are touched only where `tail` allows.
            unsafe {
                let mut acc = initial::<S, M, V, WHOLE>(simd, bias, tail);
                // The next panel, one of its vectors with each of the first register tiles.
                let next = panel.wrapping_add((V * S::F32_LANES + i * LINE) * self.packed.depth);
                for ky in 0..geometry.kernel {
                    let ahead = (i < V).then_some(next.wrapping_add(ky * len * LINE));
                    let run = Run {
                        rows: rows.map(|at| at.add(ky * row)),
                        row_step: 1,
                        panel: panel.add(ky * len * V * S::F32_LANES),
                        panel_step: V * S::F32_LANES,
                        len,
                    };
                    accumulate::<S, M, V, false>(simd, &mut acc, run, tail, ahead);
                }
                let out = self.out.add(i * M * columns + first).cast();
                write::<S, M, V, WHOLE>(simd, &acc, out, columns, pixels.len(), tail);
            }
        }
    }
}

/// A tile that starts at the bias, a row for each pixel, or at zero.
///
/// # Safety
///
/// Each row is readable up to the end of `tail` in its last vector.
#[inline(always)]
unsafe fn initial<S: Simd, const M: usize, const V: usize, const WHOLE: bool>(
    simd: S,
    bias: Option<[*const f32; M]>,
    tail: MemMask<S::m32s>,
) -> Tile<S, M, V> {
    let Some(bias) = bias else {
        return [[simd.splat_f32s(0.0); V]; M];
    };
    bias.map(|row| {
        from_fn(|v| {
            // SAFETY: the caller vouches for the bias up to the end of `tail`.
            unsafe {
                let at = row.add(v * S::F32_LANES);
                if v + 1 == V {
                    load_part::<S, WHOLE>(simd, tail, at)
                } else {
                    load::<S>(at)
                }
            }
        })
    })
}

/// Writes the first `count` rows of a tile, `step` values apart.
///
/// # Safety
///
/// Each row is writable up to the end of `tail` in its last vector.
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
