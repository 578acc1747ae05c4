//! Twofold resampling of channels-last images, and the adjoint of each.
//!
//! ```text
//! down[y, x] = scale Σ_(u, v) f[u] f[v] in[2y + u - pad, 2x + v - pad]        up is its adjoint
//! ```
//!
//! The filter `f` is the box or the binomial filter of four taps; outside the image there are zeros. Halving
//! is `down` with scale 1, its adjoint `up` with 1; doubling is `up` with 4, its adjoint `down` with 4.

use std::mem::MaybeUninit;

use super::parallel::{for_each_piece, for_each_piece_with, written};
use super::vectorized::vectorized;

/// Shape of a batch of images: samples, rows, columns, channels.
pub(crate) type ImageShape = (usize, usize, usize, usize);

/// Taps of a filter, and the zeros before the image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Fir {
    pub(crate) taps: &'static [f32],
    pub(crate) pad: usize,
}

impl Fir {
    /// Rows (or columns) of an image with `len` of them, halved.
    pub(crate) fn halved(&self, len: usize) -> usize {
        (len + 2 * self.pad - self.taps.len()) / 2 + 1
    }

    /// Taps of the box filter.
    fn is_box(&self) -> bool {
        self.taps == [0.5, 0.5] && self.pad == 0
    }

    /// Positions in a halved image of `len` that reach `at` in the full one, with the tap of each.
    #[inline(always)]
    fn sources(self, at: usize, len: usize) -> impl Iterator<Item = (usize, f32)> {
        let taps = self.taps.iter().enumerate();
        taps.filter_map(move |(k, &tap)| {
            let twice = (at + self.pad).checked_sub(k)?;
            (twice % 2 == 0 && twice / 2 < len).then_some((twice / 2, tap))
        })
    }

    /// Positions in a full image of `len` that `at` in the halved one is made of, with the tap of each.
    #[inline(always)]
    fn targets(self, at: usize, len: usize) -> impl Iterator<Item = (usize, f32)> {
        let taps = self.taps.iter().enumerate();
        taps.filter_map(move |(k, &tap)| {
            let position = (2 * at + k).checked_sub(self.pad)?;
            (position < len).then_some((position, tap))
        })
    }
}

/// Halves `x`, whose height and width stand in `shape`.
pub(crate) fn down(x: &[f32], shape: ImageShape, fir: Fir, scale: f32) -> Vec<f32> {
    if fir.is_box() {
        return box_down(x, shape, scale / 4.0);
    }
    let (b, h, w, c) = shape;
    let (rows, columns) = (fir.halved(h), fir.halved(w));
    let sizes = ((b, rows, columns, c), (h, w));
    separable(x, sizes, scale, |at, len| fir.targets(at, len))
}

/// The adjoint of [`down`]: from `x`, whose height and width stand in `shape`, to images of `full` height and width.
pub(crate) fn up(
    x: &[f32],
    shape: ImageShape,
    full: (usize, usize),
    fir: Fir,
    scale: f32,
) -> Vec<f32> {
    if fir.is_box() {
        return box_up(x, shape, scale / 4.0);
    }
    let (b, h, w, c) = shape;
    let sizes = ((b, full.0, full.1, c), (h, w));
    separable(x, sizes, scale, |at, len| fir.sources(at, len))
}

/// Weighs rows, then columns; `parts` names the input positions that an output position is made of.
fn separable<I: Iterator<Item = (usize, f32)>>(
    x: &[f32],
    (out_shape, (h, w)): (ImageShape, (usize, usize)),
    scale: f32,
    parts: impl Fn(usize, usize) -> I + Sync + Send,
) -> Vec<f32> {
    let (b, rows, columns, c) = out_shape;
    // SAFETY: the pieces are rows of the output, each written whole.
    unsafe {
        written(b * rows * columns * c, |out| {
            let task = |line: &mut Vec<f32>, row: usize, out: &mut [MaybeUninit<f32>]| {
                let image = &x[row / rows * h * w * c..][..h * w * c];
                line.fill(0.0);
                for (y, tap) in parts(row % rows, h) {
                    add_scaled(line, &image[y * w * c..][..w * c], scale * tap);
                }
                for (column, out) in out.chunks_exact_mut(c).enumerate() {
                    weigh(line, parts(column, w), out);
                }
            };
            let work = 4 * (x.len() + b * rows * columns * c);
            for_each_piece_with(out, columns * c, work, || vec![0.0; w * c], task);
        })
    }
}

/// `sum += weight x`.
fn add_scaled(sum: &mut [f32], x: &[f32], weight: f32) {
    vectorized(
        #[inline(always)]
        || {
            for (sum, &x) in sum.iter_mut().zip(x) {
                *sum += weight * x;
            }
        },
    );
}

/// Writes one pixel, the weighted sum of pixels of `line`.
fn weigh(line: &[f32], parts: impl Iterator<Item = (usize, f32)>, out: &mut [MaybeUninit<f32>]) {
    let c = out.len();
    // A filter has four taps at most; a tap outside the image weighs nothing.
    let mut pixels = [(&line[..c], 0.0f32); 4];
    for (slot, (x, tap)) in pixels.iter_mut().zip(parts) {
        *slot = (&line[x * c..][..c], tap);
    }
    let [(p0, w0), (p1, w1), (p2, w2), (p3, w3)] = pixels;
    vectorized(
        #[inline(always)]
        || {
            for i in 0..c {
                out[i].write((w0 * p0[i] + w1 * p1[i]) + (w2 * p2[i] + w3 * p3[i]));
            }
        },
    );
}

/// Sums blocks of two by two pixels, times `scale`; height and width of `shape` are those of `x`, both even.
fn box_down(x: &[f32], (b, h, w, c): ImageShape, scale: f32) -> Vec<f32> {
    // SAFETY: the pieces are rows of the output, each written whole.
    unsafe {
        written(b * h * w * c / 4, |out| {
            for_each_piece(out, w / 2 * c, x.len() * 4, |row, out| {
                let (upper, lower) = x[2 * row * w * c..][..2 * w * c].split_at(w * c);
                vectorized(
                    #[inline(always)]
                    || {
                        let pairs = upper.chunks_exact(2 * c).zip(lower.chunks_exact(2 * c));
                        for (out, (upper, lower)) in out.chunks_exact_mut(c).zip(pairs) {
                            for i in 0..c {
                                out[i].write(
                                    scale * ((upper[i] + upper[c + i]) + (lower[i] + lower[c + i])),
                                );
                            }
                        }
                    },
                );
            });
        })
    }
}

/// Repeats each pixel twice by two, times `scale`; height and width of `shape` are those of `x`.
fn box_up(x: &[f32], (b, h, w, c): ImageShape, scale: f32) -> Vec<f32> {
    // SAFETY: the pieces are rows of the output, each written whole.
    unsafe {
        written(4 * b * h * w * c, |out| {
            for_each_piece(out, 2 * w * c, x.len() * 4, |row, out| {
                let line = &x[row / 2 * w * c..][..w * c];
                vectorized(
                    #[inline(always)]
                    || {
                        for (out, pixel) in out.chunks_exact_mut(2 * c).zip(line.chunks_exact(c)) {
                            let (left, right) = out.split_at_mut(c);
                            for i in 0..c {
                                left[i].write(scale * pixel[i]);
                                right[i].write(scale * pixel[i]);
                            }
                        }
                    },
                );
            });
        })
    }
}
