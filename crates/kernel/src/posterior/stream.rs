//! The weighted mean of a data set for many samples at once, streamed over blocks of the data.
//!
//! A task takes one tile of samples through one segment of the data, block by block:
//!
//! ```text
//! scores = X Yᵀ,   a = |y|² - 2 scores,   w = weight of a beside the nearest point so far,   sum += w Y
//! ```
//!
//! and rescales its sum when a nearer point turns up. Tiles, blocks and segments follow from the sizes
//! of the data alone, and segments are joined in their order, so the bits do not depend on threads.

use rayon::prelude::*;

use super::likelihood::Likelihood;
use super::points::{Points, subtract_centre};
use super::product::{multiply_add, multiply_transposed};
use super::real::Real;
use crate::Dimension;

/// Values of a packed block and of a tile: about the second-level cache.
const CACHED_VALUES: usize = 1 << 19;
const LARGEST_TILE: usize = 128;
const LARGEST_BLOCK: usize = 256;
/// Tasks that run between two joins; bounds their partial sums, whatever the batch.
const TASKS: usize = 8;
/// Weights below e^-60 of the nearest point's are dropped: a million of them change no bit.
const SMALLEST_LN_WEIGHT: f64 = -60.0;

/// How a data set is cut.
#[derive(Clone, Copy)]
struct Cut {
    tile: usize,
    block: usize,
    segment: usize,
    segments: usize,
}

impl Cut {
    fn new(points: &Points) -> Self {
        let rows = (CACHED_VALUES / points.n()).next_multiple_of(16);
        let (tile, block) = (rows.min(LARGEST_TILE), rows.min(LARGEST_BLOCK));
        let blocks = points.count().div_ceil(block);
        let segment = blocks.div_ceil(TASKS) * block;
        Self {
            tile,
            block,
            segment,
            segments: points.count().div_ceil(segment),
        }
    }
}

/// `E[y | x]` of samples `x` `[B, N]` at noise levels `sigma` `[B]`, for data `y` behind `points`.
pub(super) fn posterior_mean<S: Real, T: Real>(
    points: &Points,
    y: &[S],
    d: Dimension,
    x: &[T],
    sigma: &[f64],
) -> Vec<T> {
    let (n, cut) = (points.n(), Cut::new(points));
    let wave = cut.tile * TASKS.div_ceil(cut.segments);
    let mut mean = vec![T::default(); x.len()];
    let waves = mean.chunks_mut(wave * n).zip(x.chunks(wave * n));
    for ((mean, x), sigma) in waves.zip(sigma.chunks(wave)) {
        let tiles: Vec<_> = x
            .chunks(cut.tile * n)
            .zip(sigma.chunks(cut.tile))
            .map(|(x, sigma)| Tile::new(points, d, x, sigma))
            .collect();
        let partials: Vec<_> = (0..tiles.len() * cut.segments)
            .into_par_iter()
            .map_init(Scratch::default, |scratch, task| {
                let (tile, segment) = (&tiles[task / cut.segments], task % cut.segments);
                tile.over_segment(points, y, cut, segment, scratch)
            })
            .collect();
        mean.par_chunks_mut(n).enumerate().for_each(|(b, mean)| {
            let (tile, row) = (b / cut.tile, b % cut.tile);
            let partials = &partials[tile * cut.segments..][..cut.segments];
            join(partials, row, tiles[tile].laws[row], points.centre(), mean);
        });
    }
    mean
}

/// Buffers that one thread uses again and again.
struct Scratch<T> {
    block: Vec<T>,
    scores: Vec<T>,
}

impl<T> Default for Scratch<T> {
    fn default() -> Self {
        Self {
            block: Vec::new(),
            scores: Vec::new(),
        }
    }
}

/// Samples that go through the data together.
struct Tile<T> {
    /// `x - centre`, `[samples, N]`.
    x: Vec<T>,
    laws: Vec<Likelihood>,
}

/// What a segment of the data contributes to a tile.
struct Partial<T> {
    /// Excess of the nearest point of each sample.
    nearest: Vec<f64>,
    /// Sum of the weights, relative to the nearest point's.
    weight: Vec<f64>,
    /// Weighted sum of `y - centre`, `[samples, N]`.
    sum: Vec<T>,
}

impl<T: Real> Tile<T> {
    fn new(points: &Points, d: Dimension, x: &[T], sigma: &[f64]) -> Self {
        let (n, mut laws) = (points.n(), Vec::with_capacity(sigma.len()));
        let mut centred = Vec::with_capacity(x.len());
        for (row, &sigma) in x.chunks_exact(n).zip(sigma) {
            let mut square = 0.0;
            for (x, c) in row.iter().zip(points.centre()) {
                let x = T::of((x.value() - f64::from(*c)).clamp(-T::BOUND, T::BOUND));
                square += x.value() * x.value();
                centred.push(x);
            }
            laws.push(Likelihood::new(n, d, sigma, square));
        }
        Self { x: centred, laws }
    }

    fn over_segment<S: Real>(
        &self,
        points: &Points,
        y: &[S],
        cut: Cut,
        segment: usize,
        scratch: &mut Scratch<T>,
    ) -> Partial<T> {
        let (n, samples) = (points.n(), self.laws.len());
        let first = segment * cut.segment;
        let last = points.count().min(first + cut.segment);
        let mut partial = Partial {
            nearest: vec![f64::INFINITY; samples],
            weight: vec![0.0; samples],
            sum: vec![T::default(); samples * n],
        };
        for first in (first..last).step_by(cut.block) {
            let block = first..last.min(first + cut.block);
            let (rows, squares) = (block.len(), &points.squares()[block.clone()]);
            scratch.block.resize(rows * n, T::default());
            scratch.scores.resize(samples * rows, T::default());
            let (y_block, scores) = (&mut scratch.block[..], &mut scratch.scores[..]);
            subtract_centre(&y[block.start * n..block.end * n], points.centre(), y_block);
            multiply_transposed(&self.x, y_block, scores, [samples, rows, n]);
            if self.weigh(&mut partial, squares, scores) {
                multiply_add(scores, y_block, &mut partial.sum, [samples, n, rows]);
            }
        }
        partial
    }

    /// Turns scores `x·y` into weights; false if all of them are 0.
    fn weigh(&self, partial: &mut Partial<T>, squares: &[f64], scores: &mut [T]) -> bool {
        let n = partial.sum.len() / self.laws.len();
        let mut any = false;
        let rows = scores.chunks_exact_mut(squares.len()).zip(&self.laws);
        for (b, (scores, law)) in rows.enumerate() {
            let excess = |score: &T, square: &f64| square - 2.0 * score.value();
            let candidates = scores.iter().zip(squares).map(|(s, q)| excess(s, q));
            let nearest = candidates.fold(partial.nearest[b], f64::min);
            if nearest < partial.nearest[b] {
                let scale = law.ln_ratio(partial.nearest[b], nearest).exp();
                partial.nearest[b] = nearest;
                partial.weight[b] *= scale;
                for sum in &mut partial.sum[b * n..(b + 1) * n] {
                    *sum = T::of(sum.value() * scale);
                }
            }
            for (score, square) in scores.iter_mut().zip(squares) {
                let ln_weight = law.ln_ratio(excess(score, square), nearest);
                // Not `>=`: a sample that is not a number stays so.
                let dropped = ln_weight < SMALLEST_LN_WEIGHT;
                *score = T::of(if dropped { 0.0 } else { ln_weight.exp() });
                any |= !dropped;
                partial.weight[b] += score.value();
            }
        }
        any
    }
}

/// Joins what the segments found for sample `row` of a tile into `centre + sum / weight`.
fn join<T: Real>(
    partials: &[Partial<T>],
    row: usize,
    law: Likelihood,
    centre: &[f32],
    mean: &mut [T],
) {
    let n = mean.len();
    let nearest = partials.iter().map(|p| p.nearest[row]);
    let nearest = nearest.fold(f64::INFINITY, f64::min);
    let scales: Vec<f64> = partials
        .iter()
        .map(|p| law.ln_ratio(p.nearest[row], nearest).exp())
        .collect();
    let weights = scales.iter().zip(partials).map(|(s, p)| s * p.weight[row]);
    let weight: f64 = weights.sum();
    let mut sum: Vec<f64> = vec![0.0; n];
    for (scale, partial) in scales.iter().zip(partials) {
        if *scale == 0.0 {
            continue;
        }
        let values = &partial.sum[row * n..(row + 1) * n];
        for (sum, value) in sum.iter_mut().zip(values) {
            *sum += scale * value.value();
        }
    }
    for ((mean, sum), c) in mean.iter_mut().zip(sum).zip(centre) {
        *mean = T::of(f64::from(*c) + sum / weight);
    }
}
