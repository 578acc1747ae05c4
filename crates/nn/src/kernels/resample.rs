//! Twofold resampling of channels-last images with the box filter, and the adjoint of each.
//!
//! ```text
//! down[y, x] = scale (in[2y, 2x] + in[2y, 2x+1] + in[2y+1, 2x] + in[2y+1, 2x+1])        up[y, x] = scale in[y/2, x/2]
//! ```
//!
//! Halving is `down` with scale 1/4 and its adjoint `up` with 1/4; doubling is `up` with 1, its adjoint `down` with 1.

use super::parallel::{for_each_piece, written};
use super::vectorized::vectorized;

/// Shape of a batch of images: samples, rows, columns, channels.
pub(crate) type ImageShape = (usize, usize, usize, usize);

/// Sums blocks of two by two pixels, times `scale`; height and width of `shape` are those of `x`, both even.
pub(crate) fn down(x: &[f32], (b, h, w, c): ImageShape, scale: f32) -> Vec<f32> {
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
pub(crate) fn up(x: &[f32], (b, h, w, c): ImageShape, scale: f32) -> Vec<f32> {
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
