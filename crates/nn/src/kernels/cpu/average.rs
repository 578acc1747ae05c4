//! Moving averages of the weights, any number in one pass over them.

use super::parallel::{Shared, for_each_index_with};
use super::vectorized::vectorized;

/// Elements that one task handles: they stay in the nearest cache from one average to the next.
const PIECE: usize = 1 << 12;

/// Moves each average towards `weight` by its share: `a = a + share (p - a)`.
///
/// All are as long as `weight`.
pub(crate) fn move_averages(weight: &[f32], averages: &mut [&mut [f32]], shares: &[f32]) {
    let averages: Vec<_> = averages
        .iter_mut()
        .map(|average| Shared::new(average))
        .collect();
    let pieces = weight.len().div_ceil(PIECE);
    let work = weight.len() * averages.len();
    for_each_index_with(
        pieces,
        work,
        || (),
        |(), i| {
            let start = i * PIECE;
            let weight = &weight[start..weight.len().min(start + PIECE)];
            // SAFETY: piece `i` of each average belongs to task `i` alone.
            unsafe { move_piece(weight, start, &averages, shares) };
        },
    );
}

/// Moves the part of each average from `start` on towards `weight`, which is as long as that part.
///
/// # Safety
///
/// Nobody else reads or writes these parts at the same time.
pub(super) unsafe fn move_piece(
    weight: &[f32],
    start: usize,
    averages: &[Shared<f32>],
    shares: &[f32],
) {
    for (average, &share) in averages.iter().zip(shares) {
        // SAFETY: the caller promises to be alone there.
        let average = unsafe {
            let start = average.range(start, weight.len());
            std::slice::from_raw_parts_mut(start, weight.len())
        };
        vectorized(
            #[inline(always)]
            || {
                for (a, &p) in average.iter_mut().zip(weight) {
                    *a += share * (p - *a);
                }
            },
        );
    }
}
