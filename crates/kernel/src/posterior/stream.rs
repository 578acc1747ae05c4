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

use std::ops::Range;

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
pub(super) struct Cut {
    pub tile: usize,
    block: usize,
    segment: usize,
    pub segments: usize,
}

impl Cut {
    pub fn new(points: &Points) -> Self {
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

    /// Samples that are taken through the data together, a number of tiles.
    pub fn wave(&self) -> usize {
        self.tile * TASKS.div_ceil(self.segments)
    }

    /// The blocks of a segment.
    pub fn blocks(&self, points: &Points, segment: usize) -> impl Iterator<Item = Range<usize>> {
        let (first, block) = (segment * self.segment, self.block);
        let last = points.count().min(first + self.segment);
        (first..last)
            .step_by(block)
            .map(move |first| first..last.min(first + block))
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
    let wave = cut.wave();
    let mut mean = vec![T::default(); x.len()];
    let waves = mean.chunks_mut(wave * n).zip(x.chunks(wave * n));
    for ((mean, x), sigma) in waves.zip(sigma.chunks(wave)) {
        let tiles = Tile::cut(points, cut, d, x, sigma);
        let partials = Tile::over_data(&tiles, points, y, cut);
        mean.par_chunks_mut(n).enumerate().for_each(|(b, mean)| {
            let joined = join(&tiles, &partials, cut, b);
            for ((mean, about), c) in mean.iter_mut().zip(joined.mean).zip(points.centre()) {
                *mean = T::of(f64::from(*c) + about);
            }
        });
    }
    mean
}

/// Buffers that one thread uses again and again.
pub(super) struct Scratch<T> {
    /// `y - centre`, `[rows, N]`.
    pub block: Vec<T>,
    /// `x·(y - centre)`, `[samples, rows]`.
    pub scores: Vec<T>,
}

impl<T> Default for Scratch<T> {
    fn default() -> Self {
        Self {
            block: Vec::new(),
            scores: Vec::new(),
        }
    }
}

impl<T: Real> Scratch<T> {
    /// Takes in a block of the data and scores `x - centre` `[samples, N]` by it.
    pub fn score<S: Real>(&mut self, points: &Points, y: &[S], block: &Range<usize>, x: &[T]) {
        let (n, rows) = (points.n(), block.len());
        let samples = x.len() / n;
        self.block.resize(rows * n, T::default());
        self.scores.resize(samples * rows, T::default());
        let values = &y[block.start * n..block.end * n];
        subtract_centre(values, points.centre(), &mut self.block);
        multiply_transposed(x, &self.block, &mut self.scores, [samples, rows, n]);
    }
}

/// Samples that go through the data together.
pub(super) struct Tile<T> {
    /// `x - centre`, `[samples, N]`.
    pub x: Vec<T>,
    pub laws: Vec<Likelihood>,
}

/// What a segment of the data contributes to a tile.
pub(super) struct Partial<T> {
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

    /// Values of a sample.
    pub fn n(&self) -> usize {
        self.x.len() / self.laws.len()
    }

    /// The tiles of the samples `x` `[B, N]`.
    pub fn cut(points: &Points, cut: Cut, d: Dimension, x: &[T], sigma: &[f64]) -> Vec<Self> {
        x.chunks(cut.tile * points.n())
            .zip(sigma.chunks(cut.tile))
            .map(|(x, sigma)| Self::new(points, d, x, sigma))
            .collect()
    }

    /// What each segment contributes to each tile, the segments of a tile side by side.
    pub fn over_data<S: Real>(
        tiles: &[Self],
        points: &Points,
        y: &[S],
        cut: Cut,
    ) -> Vec<Partial<T>> {
        (0..tiles.len() * cut.segments)
            .into_par_iter()
            .map_init(Scratch::default, |scratch, task| {
                let (tile, segment) = (&tiles[task / cut.segments], task % cut.segments);
                tile.over_segment(points, y, cut, segment, scratch)
            })
            .collect()
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
        let mut partial = Partial {
            nearest: vec![f64::INFINITY; samples],
            weight: vec![0.0; samples],
            sum: vec![T::default(); samples * n],
        };
        for block in cut.blocks(points, segment) {
            let (rows, squares) = (block.len(), &points.squares()[block.clone()]);
            scratch.score(points, y, &block, &self.x);
            if self.weigh(&mut partial, squares, &mut scratch.scores) {
                let (weights, y_block) = (&scratch.scores, &scratch.block);
                multiply_add(weights, y_block, &mut partial.sum, [samples, n, rows]);
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
                let weight = weight(*law, excess(score, square), nearest);
                *score = T::of(weight);
                any |= weight != 0.0;
                partial.weight[b] += score.value();
            }
        }
        any
    }
}

/// The excess `|y|² - 2 x·y` of a point of squared norm `square`.
pub(super) fn excess<T: Real>(score: &T, square: &f64) -> f64 {
    square - 2.0 * score.value()
}

/// The weight of a point beside that of the nearest one; 0 where it would not be seen.
pub(super) fn weight(law: Likelihood, excess: f64, nearest: f64) -> f64 {
    let ln_weight = law.ln_ratio(excess, nearest);
    // Not `>=`: a sample that is not a number stays so.
    if ln_weight < SMALLEST_LN_WEIGHT {
        0.0
    } else {
        ln_weight.exp()
    }
}

/// What the whole of the data says of one sample.
pub(super) struct Joined {
    /// Excess of the nearest point.
    pub nearest: f64,
    /// Sum of the weights, relative to the nearest point's.
    pub weight: f64,
    /// `E[y|x] - centre`.
    pub mean: Vec<f64>,
}

/// Joins what the segments found for sample `b` of the tiles.
pub(super) fn join<T: Real>(
    tiles: &[Tile<T>],
    partials: &[Partial<T>],
    cut: Cut,
    b: usize,
) -> Joined {
    let (tile, row) = (b / cut.tile, b % cut.tile);
    let (law, n) = (tiles[tile].laws[row], tiles[tile].n());
    let partials = &partials[tile * cut.segments..][..cut.segments];
    let nearest = partials.iter().map(|p| p.nearest[row]);
    let nearest = nearest.fold(f64::INFINITY, f64::min);
    let scales: Vec<f64> = partials
        .iter()
        .map(|p| law.ln_ratio(p.nearest[row], nearest).exp())
        .collect();
    let weights = scales.iter().zip(partials).map(|(s, p)| s * p.weight[row]);
    let weight: f64 = weights.sum();
    let mut mean: Vec<f64> = vec![0.0; n];
    for (scale, partial) in scales.iter().zip(partials) {
        if *scale == 0.0 {
            continue;
        }
        let values = &partial.sum[row * n..(row + 1) * n];
        for (sum, value) in mean.iter_mut().zip(values) {
            *sum += scale * value.value();
        }
    }
    for sum in &mut mean {
        *sum /= weight;
    }
    Joined {
        nearest,
        weight,
        mean,
    }
}
