//! The energy distance (Székely and Rizzo 2013, "Energy statistics: a class of statistics based on
//! distances").

use std::ops::Range;

use candle_core::Tensor;
use rayon::prelude::*;

use crate::inputs::{Inputs, Need};
use crate::matrix::{Matrix, multiply};
use crate::metric::{Better, Description, Estimate, Metric};
use crate::samples::{BLOCK, MetricError, Samples};

/// Below this part of `|a|² + |b|²` a squared distance is taken from the differences themselves.
///
/// The product form `|a|² + |b|² - 2 a·b` errs by some 1e-15 of `|a|² + |b|²`, so what it still
/// gives above this bound is good to 1e-11.
const CANCELLATION: f64 = 1e-4;

/// The energy distance between the distributions behind two sample sets, unbiased.
///
/// ```text
/// 2 E|X - Y| - E|X - X'| - E|Y - Y'|
/// ```
///
/// It is 0 for equal distributions and positive for any others, in units of the data (no square
/// root is taken and nothing is divided by the dimension). The expectations within a set run over
/// distinct pairs (a U-statistic), so that the value does not depend on the number of samples in
/// the mean; near 0 it may come out slightly negative.
///
/// `x` has shape `[n, ...]`, `y` `[m, ...]`, each sample with as many values; `f32` or `f64`. The
/// cost is `O((n + m)² N)`, the memory that of the samples.
///
/// # Errors
///
/// Samples of different size, fewer than 2 of them, values that are not finite (the first is
/// named), another dtype, and failures of the tensor backend.
pub fn energy_distance(x: &Tensor, y: &Tensor) -> Result<f64, MetricError> {
    let (x, y) = Samples::read_pair(x, y)?;
    Ok(2.0 * mean_distance_between(&x, &y) - mean_distance_within(&x) - mean_distance_within(&y))
}

/// The mean distance between two samples of a set, `E|X - X'|`, in units of the data: how varied they are.
///
/// `x` has shape `[n, ...]`.
///
/// # Errors
///
/// As [`energy_distance`].
pub fn mean_distance(x: &Tensor) -> Result<f64, MetricError> {
    let (x, _) = Samples::read_pair(x, x)?;
    Ok(mean_distance_within(&x))
}

/// The energy distance of the samples from the held-out data, as [`energy_distance`].
pub struct EnergyDistance;

impl Metric for EnergyDistance {
    fn description(&self) -> Description {
        Description {
            name: "energy_distance",
            label: "energy distance",
            short: "energy dist.",
            unit: "units of the data",
            meaning: "how much farther apart samples and held-out images lie from each other than among themselves; \
                      unbiased, so that an excellent model may fall slightly below 0",
            better: Better::Lower,
            across_d: true,
        }
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Samples, Need::HeldOut]
    }

    fn evaluate(&self, inputs: &Inputs<'_>) -> Result<Estimate, MetricError> {
        Ok(energy_distance(inputs.samples()?, inputs.held_out()?)?.into())
    }
}

/// `E|X - Y|` over all pairs.
fn mean_distance_between(x: &Samples, y: &Samples) -> f64 {
    let (num_x, num_y) = (x.num as f64, y.num as f64);
    let (mean_x, mean_y) = (x.mean(), y.mean());
    let pooled = mean_x
        .iter()
        .zip(&mean_y)
        .map(|(mx, my)| (num_x * mx + num_y * my) / (num_x + num_y));
    let centre: Vec<f64> = pooled.collect();
    let pairs = x
        .blocks()
        .flat_map(|a| y.blocks().map(move |b| (a.clone(), b)))
        .collect();
    sum_over_blocks((x, y), pairs, &centre, |_| 0) / (num_x * num_y)
}

/// `E|X - X'|` over distinct pairs.
fn mean_distance_within(x: &Samples) -> f64 {
    let pairs = x
        .blocks()
        .flat_map(|a| x.blocks().map(move |b| (a.clone(), b)))
        .filter(|(a, b)| a.start <= b.start);
    let num = x.num as f64;
    sum_over_blocks((x, x), pairs.collect(), &x.mean(), |i| i + 1) / (0.5 * num * (num - 1.0))
}

/// Sums `|x_i - y_j|` over the pairs `(i, j)` of the blocks with `j >= first(i)`.
///
/// Blocks are of fixed size and each is summed by one thread, their sums in order by one: the
/// number of threads cannot change a bit.
fn sum_over_blocks(
    (x, y): (&Samples, &Samples),
    blocks: Vec<(Range<usize>, Range<usize>)>,
    centre: &[f64],
    first: impl Fn(usize) -> usize + Sync,
) -> f64 {
    let sums: Vec<f64> = blocks
        .into_par_iter()
        .map_init(
            || Scratch::new(centre.len()),
            |scratch, (rows, columns)| {
                scratch.fill((x, rows.clone()), (y, columns.clone()), centre);
                let first = |i: usize| {
                    first(rows.start + i)
                        .saturating_sub(columns.start)
                        .min(columns.len())
                };
                (0..rows.len())
                    .map(|i| scratch.row_sum(i, first(i)..columns.len()))
                    .sum()
            },
        )
        .collect();
    sums.iter().sum()
}

/// Two blocks of samples about one centre, and their products.
struct Scratch {
    dim: usize,
    columns: usize,
    a: Vec<f64>,
    b: Vec<f64>,
    products: Vec<f64>,
    norms_a: Vec<f64>,
    norms_b: Vec<f64>,
}

impl Scratch {
    fn new(dim: usize) -> Self {
        Self {
            dim,
            columns: 0,
            a: vec![0.0; BLOCK * dim],
            b: vec![0.0; BLOCK * dim],
            products: vec![0.0; BLOCK * BLOCK],
            norms_a: Vec::with_capacity(BLOCK),
            norms_b: Vec::with_capacity(BLOCK),
        }
    }

    fn fill(
        &mut self,
        (x, rows): (&Samples, Range<usize>),
        (y, columns): (&Samples, Range<usize>),
        centre: &[f64],
    ) {
        let (m, n) = (rows.len(), columns.len());
        x.copy_centred(rows, centre, &mut self.a);
        y.copy_centred(columns, centre, &mut self.b);
        self.columns = n;
        norms(&self.a, self.dim, m, &mut self.norms_a);
        norms(&self.b, self.dim, n, &mut self.norms_b);
        let (a, b) = (
            Matrix::new(&self.a, m, self.dim, self.dim),
            Matrix::new(&self.b, n, self.dim, self.dim),
        );
        multiply(a, b.transposed(), &mut self.products, false);
    }

    /// Sums the distances of sample `i` of the first block to those in `columns` of the second.
    fn row_sum(&mut self, i: usize, columns: Range<usize>) -> f64 {
        let norm_a = self.norms_a[i];
        let row = &mut self.products[i * self.columns..][columns.clone()];
        let norms_b = &self.norms_b[columns.clone()];
        // Two passes, so that the first, which nearly always is all there is, has no branch.
        let mut close = false;
        for (product, norm_b) in row.iter_mut().zip(norms_b) {
            let scale = norm_a + norm_b;
            *product = scale - 2.0 * *product;
            close |= *product < CANCELLATION * scale;
        }
        if close {
            let a = &self.a[i * self.dim..][..self.dim];
            let b = self.b.chunks_exact(self.dim).skip(columns.start);
            for ((squared, norm_b), b) in row.iter_mut().zip(norms_b).zip(b) {
                if *squared < CANCELLATION * (norm_a + norm_b) {
                    *squared = squared_distance(a, b);
                }
            }
        }
        sum_in_lanes(row, row, |squared, _| squared.sqrt())
    }
}

fn norms(rows: &[f64], dim: usize, num: usize, out: &mut Vec<f64>) {
    out.clear();
    let rows = rows.chunks_exact(dim).take(num);
    out.extend(rows.map(|row| sum_in_lanes(row, row, |v, _| v * v)));
}

fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    sum_in_lanes(a, b, |a, b| (a - b) * (a - b))
}

/// Sums `term(a_i, b_i)` in eight interleaved parts: a single running sum would wait for each
/// addition before the next, and could not be vectorised.
fn sum_in_lanes(a: &[f64], b: &[f64], term: impl Fn(f64, f64) -> f64) -> f64 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut lanes = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        for (lane, (&a, &b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += term(a, b);
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(&a, &b)| term(a, b)).sum();
    lanes.iter().sum::<f64>() + rest
}
