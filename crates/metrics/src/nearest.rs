//! The nearest neighbour: the plainest classifier there is.

use candle_core::Tensor;
use rayon::prelude::*;

use crate::matrix::{Matrix, multiply};
use crate::samples::{BLOCK, MetricError, Samples, block};

/// For each sample of `x` the place in `y` of the one nearest to it by Euclidean distance, the first of equals.
///
/// `x` has shape `[n, ...]`, `y` `[m, ...]`, each sample with as many values; `f32` or `f64`. The cost is `O(n m N)`.
///
/// # Errors
///
/// As [`energy_distance`](crate::energy_distance).
pub fn nearest(x: &Tensor, y: &Tensor) -> Result<Vec<usize>, MetricError> {
    let (x, y) = Samples::read_pair(x, y)?;
    let centre = y.mean();
    let blocks: Vec<_> = x.blocks().collect();
    let found: Vec<Vec<usize>> = blocks
        .into_par_iter()
        .map(|rows| {
            let mut a = vec![0.0; rows.len() * x.dim];
            x.copy_centred(rows.clone(), &centre, &mut a);
            nearest_of_block(&a, rows.len(), &y, &centre)
        })
        .collect();
    Ok(found.concat())
}

/// As [`nearest`] for `rows` samples `a`, already about `centre`.
fn nearest_of_block(a: &[f64], rows: usize, y: &Samples, centre: &[f64]) -> Vec<usize> {
    let dim = y.dim;
    let (mut b, mut products) = (vec![0.0; block(dim) * dim], vec![0.0; rows * BLOCK]);
    let mut best = vec![(f64::INFINITY, 0); rows];
    for columns in y.blocks() {
        let n = columns.len();
        y.copy_centred(columns.clone(), centre, &mut b);
        let left = Matrix::new(a, rows, dim, dim);
        let right = Matrix::new(&b, n, dim, dim).transposed();
        multiply(left, right, &mut products, false);
        let squares = b.chunks_exact(dim).take(n);
        let squares: Vec<f64> = squares.map(|b| b.iter().map(|v| v * v).sum()).collect();
        for (best, products) in best.iter_mut().zip(products.chunks_exact(n)) {
            for (j, (square, product)) in squares.iter().zip(products).enumerate() {
                // |a - b|² but for |a|², which all have in common.
                let distance = square - 2.0 * product;
                if distance < best.0 {
                    *best = (distance, columns.start + j);
                }
            }
        }
    }
    best.into_iter().map(|(_, place)| place).collect()
}
