//! The sum of squares, in `f64`.

use rayon::prelude::*;

use super::vectorized::vectorized;

/// Elements that one task adds.
const PIECE: usize = 1 << 14;
/// Sums that a task keeps side by side: one alone would wait for each addition.
const LANES: usize = 16;

/// The sum of the squares of `x`, in one order whatever the number of threads.
pub(crate) fn squared_norm(x: &[f32]) -> f64 {
    let sums: Vec<f64> = x.par_chunks(PIECE).map(of_piece).collect();
    sums.iter().sum()
}

fn of_piece(piece: &[f32]) -> f64 {
    let mut sums = [0.0; LANES];
    vectorized(
        #[inline(always)]
        || {
            let (lanes, rest) = piece.as_chunks::<LANES>();
            for values in lanes {
                for (sum, &value) in sums.iter_mut().zip(values) {
                    *sum += f64::from(value) * f64::from(value);
                }
            }
            for (sum, &value) in sums.iter_mut().zip(rest) {
                *sum += f64::from(value) * f64::from(value);
            }
        },
    );
    sums.iter().sum()
}
