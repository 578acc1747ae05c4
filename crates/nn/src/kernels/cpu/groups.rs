//! Channels of an image taken apart and put together, for convolutions whose groups do not see each other.

use std::ops::Range;

use super::parallel::for_each_piece;

/// Pixels of a piece.
const PIXELS: usize = 256;

/// The channels in `range` of every pixel of `x`, which has `channels`.
pub(crate) fn take(x: &[f32], channels: usize, range: &Range<usize>) -> Vec<f32> {
    let mut out = vec![0.0; x.len() / channels * range.len()];
    let piece = PIXELS * range.len();
    for_each_piece(&mut out, piece, x.len(), |i, out| {
        let pixels = x[i * PIXELS * channels..].chunks_exact(channels);
        for (out, pixel) in out.chunks_exact_mut(range.len()).zip(pixels) {
            out.copy_from_slice(&pixel[range.clone()]);
        }
    });
    out
}

/// Writes `part` to the channels in `range` of every pixel of `out`, which has `channels`.
pub(crate) fn put(part: &[f32], out: &mut [f32], channels: usize, range: &Range<usize>) {
    let work = out.len();
    for_each_piece(out, PIXELS * channels, work, |i, out| {
        let parts = part[i * PIXELS * range.len()..].chunks_exact(range.len());
        for (pixel, part) in out.chunks_exact_mut(channels).zip(parts) {
            pixel[range.clone()].copy_from_slice(part);
        }
    });
}
