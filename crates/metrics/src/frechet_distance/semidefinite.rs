//! Positive semidefinite matrices of any rank.

use nalgebra::DMatrix;
use rayon::prelude::*;

use crate::matrix::{Matrix, multiply};
use crate::samples::BLOCK;

/// `tr (C_1 C_2)^(1/2)` of two positive semidefinite matrices, `dim` by `dim`, row by row.
pub(super) fn trace_of_root(c1: &[f64], c2: &[f64], dim: usize) -> f64 {
    let (factor, rank) = factor(c1, dim);
    if rank == 0 {
        return 0.0;
    }
    // [dim, rank], then A^T C_2 A, [rank, rank].
    let right = product(
        Matrix::new(c2, dim, dim, dim),
        Matrix::new(&factor, dim, rank, dim),
    );
    let inner = product(
        Matrix::new(&factor, dim, rank, dim).transposed(),
        Matrix::new(&right, dim, rank, rank),
    );
    let symmetric = DMatrix::from_fn(rank, rank, |i, j| {
        0.5 * (inner[i * rank + j] + inner[j * rank + i])
    });
    let values = symmetric.symmetric_eigenvalues();
    // Below this an eigenvalue is rounding, and the roots of many such would add up.
    let noise = rank as f64 * f64::EPSILON * values.amax();
    values
        .iter()
        .filter(|value| **value > noise)
        .map(|value| value.sqrt())
        .sum()
}

/// A factor `A` of `C = A A^T`, rows of `dim` of which the first `rank` count: Cholesky's with the largest remaining
/// pivot first (Higham 1990), so that a matrix of any rank has one and it ends at its rank.
pub(crate) fn factor(c: &[f64], dim: usize) -> (Vec<f64>, usize) {
    let mut factor = vec![0.0; dim * dim];
    let mut left: Vec<f64> = c.iter().step_by(dim + 1).copied().collect();
    let largest = left.iter().copied().fold(0.0, f64::max);
    let noise = dim as f64 * f64::EPSILON * largest;
    for rank in 0..dim {
        let pivot = (0..dim).max_by(|&i, &j| left[i].total_cmp(&left[j]));
        let Some(pivot) = pivot.filter(|&pivot| left[pivot] > noise) else {
            return (factor, rank);
        };
        let root = left[pivot].sqrt();
        let of_pivot: Vec<f64> = factor[pivot * dim..][..rank].to_vec();
        let rows = factor
            .par_chunks_mut(dim)
            .zip(left.par_iter_mut())
            .enumerate();
        rows.with_min_len(64).for_each(|(i, (row, left))| {
            if i == pivot {
                row[rank] = root;
                *left = f64::NEG_INFINITY;
            } else if left.is_finite() {
                let before: f64 = row[..rank].iter().zip(&of_pivot).map(|(a, b)| a * b).sum();
                row[rank] = (c[i * dim + pivot] - before) / root;
                *left -= row[rank] * row[rank];
            }
        });
    }
    (factor, dim)
}

/// `a b`, row by row, in strips of rows of a fixed height, each by one thread.
fn product(a: Matrix<'_>, b: Matrix<'_>) -> Vec<f64> {
    let columns = b.columns();
    let mut out = vec![0.0; a.rows() * columns];
    out.par_chunks_mut(BLOCK * columns)
        .enumerate()
        .for_each(|(strip, out)| {
            let height = out.len() / columns;
            multiply(a.strip(strip * BLOCK, height), b, out, false);
        });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_ends_at_the_rank_and_gives_the_matrix_back() {
        // Three columns of five values: rank 3.
        let dim = 5;
        let root = [
            1.0, 0.5, -2.0, 0.0, 1.0, 1.0, 2.0, 2.0, 0.0, 1.0, 1.0, 0.0, -1.0, 0.25, 3.0,
        ];
        let entry = |i: usize, j: usize| {
            (0..3)
                .map(|k| root[3 * i + k] * root[3 * j + k])
                .sum::<f64>()
        };
        let c: Vec<f64> = (0..25).map(|at| entry(at / 5, at % 5)).collect();
        let (factor, rank) = factor(&c, dim);
        assert_eq!(rank, 3);
        for (at, want) in c.iter().enumerate() {
            let rows = (
                &factor[at / 5 * dim..][..rank],
                &factor[at % 5 * dim..][..rank],
            );
            let got: f64 = rows.0.iter().zip(rows.1).map(|(a, b)| a * b).sum();
            assert!((got - want).abs() < 1e-13, "{at}: got {got}, want {want}");
        }
    }

    #[test]
    fn roots_of_products_of_diagonals_are_those_of_their_entries() {
        let diagonal = |values: [f64; 4]| -> Vec<f64> {
            (0..16)
                .map(|at| if at % 5 == 0 { values[at / 5] } else { 0.0 })
                .collect()
        };
        let got = trace_of_root(
            &diagonal([4.0, 0.0, 1.0, 9.0]),
            &diagonal([9.0, 5.0, 0.0, 0.25]),
            4,
        );
        assert!((got - 7.5).abs() < 1e-14, "got {got}, want 7.5");
        assert_eq!(trace_of_root(&[0.0; 16], &diagonal([1.0; 4]), 4), 0.0);
    }
}
