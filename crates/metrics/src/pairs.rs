//! All pairs of samples, block by block, and statistics that are means over them.

use std::ops::Range;

use rayon::prelude::*;

use crate::intervals::jackknife_error;
use crate::matrix::{Matrix, multiply};
use crate::samples::{BLOCK, Samples, block};

/// Below this part of `|a|² + |b|²` a squared distance is taken from the differences themselves.
///
/// The product form `|a|² + |b|² - 2 a·b` errs by some 1e-15 of `|a|² + |b|²`, so what it still
/// gives above this bound is good to 1e-11.
const CANCELLATION: f64 = 1e-4;

/// Sums of a symmetric function of two samples over all pairs within and between two sets, by sample.
pub(crate) struct SetPair {
    /// Over the others of the same set, by sample of x and of y.
    within: [Vec<f64>; 2],
    /// Over the other set, by sample of x and of y.
    between: [Vec<f64>; 2],
}

impl SetPair {
    /// The sums of `row`, which gives a row of values of the function from a filled [`Scratch`].
    pub fn of(
        x: &Samples,
        y: &Samples,
        centre: &[f64],
        row: impl for<'s> Fn(&'s mut Scratch, usize) -> &'s [f64] + Sync,
    ) -> Self {
        let within = |set: &Samples| sums(set, set, centre, true, &row).0;
        let (of_x, of_y) = sums(x, y, centre, false, &row);
        Self {
            within: [within(x), within(y)],
            between: [of_x, of_y],
        }
    }

    /// `a (mean within x + mean within y) + b mean between`, over distinct pairs.
    pub fn value(&self, [a, b]: [f64; 2]) -> f64 {
        let of_set = |set: &Vec<f64>| {
            let num = set.len() as f64;
            set.iter().sum::<f64>() / (num * (num - 1.0))
        };
        let pairs = (self.between[0].len() * self.between[1].len()) as f64;
        let between = self.between[0].iter().sum::<f64>() / pairs;
        a * (of_set(&self.within[0]) + of_set(&self.within[1])) + b * between
    }

    /// The standard error of [`value`](Self::value): the jackknife over each set, their squares added; `None` where a set
    /// has fewer than 3 samples.
    pub fn standard_error(&self, [a, b]: [f64; 2]) -> Option<f64> {
        let of_set = |set: usize| {
            let (within, between) = (&self.within[set], &self.between[set]);
            let (num, other) = (within.len() as f64, self.between[1 - set].len() as f64);
            if num < 3.0 {
                return None;
            }
            let (all_within, all_between): (f64, f64) = (within.iter().sum(), between.iter().sum());
            // Without sample i its row and its column are missing.
            let left_out = within.iter().zip(between).map(|(within, between)| {
                a * (all_within - 2.0 * within) / ((num - 1.0) * (num - 2.0))
                    + b * (all_between - between) / ((num - 1.0) * other)
            });
            jackknife_error(&left_out.collect::<Vec<_>>())
        };
        Some(of_set(0)?.hypot(of_set(1)?))
    }
}

/// Sums over the columns for each row, and over the rows for each column, of all pairs, or of the distinct ones of one set.
///
/// Blocks are of fixed size and added in order: the number of threads cannot change a bit.
fn sums(
    x: &Samples,
    y: &Samples,
    centre: &[f64],
    distinct: bool,
    row: &(impl for<'s> Fn(&'s mut Scratch, usize) -> &'s [f64] + Sync),
) -> (Vec<f64>, Vec<f64>) {
    let blocks: Vec<(Range<usize>, Range<usize>)> = x
        .blocks()
        .flat_map(|a| y.blocks().map(move |b| (a.clone(), b)))
        .collect();
    let of_blocks = |scratch: &mut Scratch, (rows, columns): &(Range<usize>, Range<usize>)| {
        scratch.fill((x, rows.clone()), (y, columns.clone()), centre);
        let (mut by_row, mut by_column) = (vec![0.0; rows.len()], vec![0.0; columns.len()]);
        for (i, total) in by_row.iter_mut().enumerate() {
            let values = row(scratch, i);
            for (j, value) in values.iter().enumerate() {
                if distinct && rows.start + i == columns.start + j {
                    continue;
                }
                *total += value;
                by_column[j] += value;
            }
        }
        (by_row, by_column)
    };
    let found: Vec<_> = blocks
        .par_iter()
        .map_init(|| Scratch::new(centre.len()), of_blocks)
        .collect();
    let (mut of_x, mut of_y) = (vec![0.0; x.num], vec![0.0; y.num]);
    for ((rows, columns), (by_row, by_column)) in blocks.iter().zip(found) {
        let add = |sums: &mut [f64], values: Vec<f64>| {
            sums.iter_mut()
                .zip(values)
                .for_each(|(sum, value)| *sum += value);
        };
        add(&mut of_x[rows.clone()], by_row);
        add(&mut of_y[columns.clone()], by_column);
    }
    (of_x, of_y)
}

/// Two blocks of samples about one centre, and their products.
pub(crate) struct Scratch {
    dim: usize,
    columns: usize,
    a: Vec<f64>,
    b: Vec<f64>,
    products: Vec<f64>,
    norms_a: Vec<f64>,
    norms_b: Vec<f64>,
}

impl Scratch {
    pub fn new(dim: usize) -> Self {
        Self {
            dim,
            columns: 0,
            a: vec![0.0; block(dim) * dim],
            b: vec![0.0; block(dim) * dim],
            products: vec![0.0; BLOCK * BLOCK],
            norms_a: Vec::with_capacity(BLOCK),
            norms_b: Vec::with_capacity(BLOCK),
        }
    }

    pub fn fill(
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

    /// Sums the distances of sample `i` of the first block to those in `columns` of the second, whose place of `products`
    /// is used up.
    pub fn distance_sum(&mut self, i: usize, columns: Range<usize>) -> f64 {
        let row = self.squared(i, columns);
        sum_in_lanes(row, row, |squared, _| squared.sqrt())
    }

    /// The distances of sample `i` of the first block to all of the second.
    pub fn distances(&mut self, i: usize) -> &[f64] {
        let row = self.squared(i, 0..self.columns);
        row.iter_mut().for_each(|squared| *squared = squared.sqrt());
        row
    }

    /// The products of sample `i` of the first block with all of the second, about the centre.
    pub fn products(&mut self, i: usize) -> &mut [f64] {
        &mut self.products[i * self.columns..][..self.columns]
    }

    /// The squared distances of sample `i` of the first block to those in `columns` of the second; once for each `i` and
    /// filling.
    pub fn squared(&mut self, i: usize, columns: Range<usize>) -> &mut [f64] {
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
        row
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
