//! Gradients of a convolution with respect to its weights and its bias.
//!
//! ```text
//! dW[o, i, tap] = Σ_(b, p) x[b, stride · p + tap, i] g[b, p, o]          dbias[o] = Σ_(b, p) g[b, p, o]
//! ```
//!
//! `x` with its zeros.
//!
//! Each task owns some rows `(tap, i)` of the result and runs through all samples in order, so no partial
//! sums are merged and the order of additions is fixed.

use std::array::from_fn;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::geometry::Geometry;
use super::parallel::{for_each_piece, written};
use super::product::{MANY_ROWS, PANEL_VECTORS, Run, Tile, accumulate, lanes, load, store};
use super::vectorized::vectorized;

/// Values of input and gradient that pass through the cache together.
const BLOCK_VALUES: usize = 1 << 16;

/// Tasks that the rows of one gradient are dealt to: enough for many threads, few enough to amortise.
const TASKS: usize = 18;

/// Gradient of the weights, `[c_out, c_in, kernel, kernel]`, from the input and the gradient of the output.
pub(crate) fn weight_gradient(
    geometry: Geometry,
    x: &[f32],
    grad: &[f32],
    (c_out, c_in): (usize, usize),
) -> Vec<f32> {
    assert_eq!(
        grad.len(),
        geometry.batch * geometry.pixels_out() * c_out,
        "gradients of every output"
    );
    let padded = geometry.pad(c_in, x);
    let rows = RowProducts {
        geometry,
        image: &padded,
        grad,
        c_in,
        c_out,
        step: c_out.next_multiple_of(lanes()),
    };
    // The inputs under one row of the kernel are consecutive, so blocks run across taps.
    let taps = geometry.kernel * geometry.kernel;
    let blocks = geometry.kernel * (geometry.kernel * c_in).div_ceil(MANY_ROWS);
    let blocks_per_task = blocks.div_ceil(TASKS);
    let mut by_row = vec![0.0; blocks * MANY_ROWS * rows.step];
    let piece = blocks_per_task * MANY_ROWS * rows.step;
    for_each_piece(&mut by_row, piece, x.len() * taps * c_out, |task, out| {
        Arch::new().dispatch(Task {
            rows: &rows,
            first: task * blocks_per_task,
            out,
        });
    });
    to_weight_order(&by_row, rows.step, (c_out, c_in, geometry.kernel))
}

/// Gradient of the bias: one row for each sample of `[batch, pixels, c_out]`.
pub(crate) fn bias_gradient(grad: &[f32], batch: usize, c_out: usize) -> Vec<f32> {
    let mut sums = vec![0.0; batch * c_out];
    let per_sample = grad.len() / batch.max(1);
    for_each_piece(&mut sums, c_out, grad.len(), |b, row| {
        vectorized(
            #[inline(always)]
            || add_rows(row, &grad[b * per_sample..(b + 1) * per_sample]),
        );
    });
    sums
}

/// Adds up consecutive rows, in order.
#[inline(always)]
pub(crate) fn add_rows(sum: &mut [f32], rows: &[f32]) {
    for row in rows.chunks_exact(sum.len()) {
        for (total, value) in sum.iter_mut().zip(row) {
            *total += value;
        }
    }
}

/// From rows `(tap, c_in)` of `step` values to `[c_out, c_in, tap]`; each kernel row begins with a new block of rows.
fn to_weight_order(
    by_row: &[f32],
    step: usize,
    (c_out, c_in, kernel): (usize, usize, usize),
) -> Vec<f32> {
    /// Output channels of a piece: as many values as a cache line holds are taken from each row.
    const TOGETHER: usize = 16;
    let kernel_row = (kernel * c_in).next_multiple_of(MANY_ROWS);
    let (taps, per_channel) = (kernel * kernel, c_in * kernel * kernel);
    // SAFETY: each piece holds the weights of some output channels, all of which are written.
    unsafe {
        written(c_out * per_channel, |out| {
            for_each_piece(out, TOGETHER * per_channel, by_row.len(), |p, weights| {
                let channels = weights.len() / per_channel;
                for tap in 0..taps {
                    for i in 0..c_in {
                        let row = tap / kernel * kernel_row + tap % kernel * c_in + i;
                        let values = &by_row[row * step + p * TOGETHER..][..channels];
                        for (o, &value) in values.iter().enumerate() {
                            weights[o * per_channel + i * taps + tap].write(value);
                        }
                    }
                }
            });
        })
    }
}

/// What all tasks of one gradient share.
struct RowProducts<'a> {
    geometry: Geometry,
    image: &'a [f32],
    grad: &'a [f32],
    c_in: usize,
    c_out: usize,
    /// Values between the rows of the result: `c_out` rounded up to whole vectors.
    step: usize,
}

/// Some consecutive blocks of rows, from block `first` on.
struct Task<'a> {
    rows: &'a RowProducts<'a>,
    first: usize,
    out: &'a mut [f32],
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let geometry = self.rows.geometry;
        let per_sample =
            geometry.pixels_in() * self.rows.c_in + geometry.pixels_out() * self.rows.c_out;
        let samples = (BLOCK_VALUES / per_sample.max(1)).max(1);
        for start in (0..geometry.batch).step_by(samples) {
            let range = start..(start + samples).min(geometry.batch);
            for (i, block) in self
                .out
                .chunks_exact_mut(MANY_ROWS * self.rows.step)
                .enumerate()
            {
                self.rows.block(simd, self.first + i, range.clone(), block);
            }
        }
    }
}

impl RowProducts<'_> {
    /// Adds the samples in `range` to one block of rows.
    #[inline(always)]
    fn block<S: Simd>(&self, simd: S, block: usize, range: Range<usize>, out: &mut [f32]) {
        let width = PANEL_VECTORS * S::F32_LANES;
        for first in (0..self.c_out).step_by(width) {
            let left = self.c_out - first;
            let panel = (block, first);
            if left >= width {
                self.panel::<S, PANEL_VECTORS, false>(simd, panel, range.clone(), out);
            } else if left > S::F32_LANES {
                self.panel::<S, PANEL_VECTORS, true>(simd, panel, range.clone(), out);
            } else if left == S::F32_LANES {
                self.panel::<S, 1, false>(simd, panel, range.clone(), out);
            } else {
                self.panel::<S, 1, true>(simd, panel, range.clone(), out);
            }
        }
    }

    #[inline(always)]
    fn panel<S: Simd, const V: usize, const RAGGED: bool>(
        &self,
        simd: S,
        (block, first): (usize, usize),
        range: Range<usize>,
        out: &mut [f32],
    ) {
        if S::REGISTER_COUNT >= 32 {
            self.rows::<S, MANY_ROWS, V, RAGGED>(simd, (block, 0, first), range, out);
        } else {
            const HALF: usize = MANY_ROWS / 2;
            self.rows::<S, HALF, V, RAGGED>(simd, (block, 0, first), range.clone(), out);
            self.rows::<S, HALF, V, RAGGED>(simd, (block, HALF, first), range, out);
        }
    }

    /// Rows `skip..skip + M` of a block, output channels from `first` on.
    #[inline(always)]
    fn rows<S: Simd, const M: usize, const V: usize, const RAGGED: bool>(
        &self,
        simd: S,
        (block, skip, first): (usize, usize, usize),
        range: Range<usize>,
        out: &mut [f32],
    ) {
        let (geometry, step) = (self.geometry, self.step);
        let kernel_row = geometry.kernel * self.c_in;
        let blocks = kernel_row.div_ceil(MANY_ROWS);
        let (ky, first_row) = (block / blocks, block % blocks * MANY_ROWS + skip);
        let (row, image_len) = (
            geometry.padded_row(self.c_in),
            geometry.padded_len(self.c_in),
        );
        let valid = (self.c_out - first).min(V * S::F32_LANES) - (V - 1) * S::F32_LANES;
        let tail = simd.mask_between_m32s(0, valid as u32);
        // Rows past the last input repeat it; their sums are never read.
        let offsets: [usize; M] = from_fn(|i| ky * row + (first_row + i).min(kernel_row - 1));
        let out = out[skip * step + first..].as_mut_ptr();
        // SAFETY: every pixel's input lies inside its padded image and every gradient inside its pixel (`tail`);
        // the block has `MANY_ROWS` rows of `step` values, which hold whole vectors.
        unsafe {
            let at = |i: usize, v: usize| out.add(i * step + v * S::F32_LANES);
            let mut acc: Tile<S, M, V> = from_fn(|i| from_fn(|v| load::<S>(at(i, v))));
            let (height, width) = geometry.out;
            for line in range.start * height..range.end * height {
                let (b, y) = (line / height, line % height * geometry.stride);
                let image = self.image.as_ptr().add(b * image_len + y * row);
                let run = Run {
                    rows: offsets.map(|at| image.add(at)),
                    row_step: geometry.stride * self.c_in,
                    panel: self.grad.as_ptr().add(line * width * self.c_out + first),
                    panel_step: self.c_out,
                    len: width,
                };
                accumulate::<S, M, V, RAGGED>(simd, &mut acc, run, tail, None);
            }
            for (i, sums) in acc.iter().enumerate() {
                for (v, &sum) in sums.iter().enumerate() {
                    store::<S>(at(i, v), sum);
                }
            }
        }
    }
}
