//! Functions of single elements, in a form that compilers turn into vector instructions, and rearrangements.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::parallel::{for_each_piece, written};
use super::vectorized::vectorized;

/// Elements that one task handles.
const PIECE: usize = 1 << 13;

/// Rows that one task copies.
const ROWS: usize = 64;

/// Adding this to a float of moderate size leaves its nearest integer in the low bits.
const ROUND: f32 = 12_582_912.0;

/// `e^x` within 2 units in the last place; clamped to `e^-87 ..= e^88`, the normal floats.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // ln 2 in two parts, the first exact in few bits, so that `n ln 2` loses nothing.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN2_HIGH - n * LN2_LOW;
    // Taylor to r^7 / 7!: |r| <= ln 2 / 2, so the remainder is below 6e-9.
    let mut p = 1.0 / 5040.0;
    for coefficient in [
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ] {
        p = p * r + coefficient;
    }
    let exponent = shifted
        .to_bits()
        .wrapping_sub(ROUND.to_bits())
        .wrapping_add(127);
    p * f32::from_bits(exponent << 23)
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `x sigmoid(x)`.
#[inline(always)]
pub(crate) fn silu(x: f32) -> f32 {
    x * sigmoid(x)
}

/// `d silu / dx = s (1 + x (1 - s))`, `s = sigmoid(x)`.
#[inline(always)]
pub(crate) fn silu_slope(x: f32) -> f32 {
    let s = sigmoid(x);
    s * (1.0 + x * (1.0 - s))
}

/// `f` of each element.
pub(crate) fn map(x: &[f32], f: impl Fn(f32) -> f32 + Sync + Send) -> Vec<f32> {
    // SAFETY: the pieces cover the output, and each of their elements is written.
    unsafe {
        written(x.len(), |out| {
            for_each_piece(out, PIECE, x.len(), |i, out| {
                let x = &x[i * PIECE..][..out.len()];
                vectorized(
                    #[inline(always)]
                    || {
                        for (out, &x) in out.iter_mut().zip(x) {
                            out.write(f(x));
                        }
                    },
                );
            });
        })
    }
}

/// `f` of each pair of elements.
pub(crate) fn map_pairs(
    a: &[f32],
    b: &[f32],
    f: impl Fn(f32, f32) -> f32 + Sync + Send,
) -> Vec<f32> {
    // SAFETY: the pieces cover the output, and each of their elements is written.
    unsafe {
        written(a.len(), |out| {
            for_each_piece(out, PIECE, 2 * a.len(), |i, out| {
                let (a, b) = (&a[i * PIECE..][..out.len()], &b[i * PIECE..][..out.len()]);
                vectorized(
                    #[inline(always)]
                    || {
                        for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
                            out.write(f(a, b));
                        }
                    },
                );
            });
        })
    }
}

/// Alternates rows of `a` and `b`, each given with the length of its rows.
pub(crate) fn interleave((a, row_a): (&[f32], usize), (b, row_b): (&[f32], usize)) -> Vec<f32> {
    let row = row_a + row_b;
    // SAFETY: the pieces are whole rows, and both parts of each row are written.
    unsafe {
        written(a.len() + b.len(), |out| {
            for_each_piece(out, ROWS * row, a.len() + b.len(), |p, out| {
                let pairs = a[p * ROWS * row_a..]
                    .chunks(row_a)
                    .zip(b[p * ROWS * row_b..].chunks(row_b));
                for (out, (a, b)) in out.chunks_mut(row).zip(pairs) {
                    copy(a, &mut out[..row_a]);
                    copy(b, &mut out[row_a..]);
                }
            });
        })
    }
}

/// The columns `columns` of a matrix with rows of `row` values.
pub(crate) fn columns(matrix: &[f32], row: usize, columns: Range<usize>) -> Vec<f32> {
    let (width, len) = (columns.len(), matrix.len() / row * columns.len());
    // SAFETY: the pieces are whole rows of the output, each written whole.
    unsafe {
        written(len, |out| {
            for_each_piece(out, ROWS * width, len, |p, out| {
                let rows = matrix[p * ROWS * row..].chunks(row);
                for (out, row) in out.chunks_mut(width).zip(rows) {
                    copy(&row[columns.clone()], out);
                }
            });
        })
    }
}

fn copy(from: &[f32], to: &mut [MaybeUninit<f32>]) {
    for (to, &from) in to.iter_mut().zip(from) {
        to.write(from);
    }
}
