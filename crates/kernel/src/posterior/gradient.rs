//! How the weighted mean of a data set moves with the sample and its noise level.
//!
//! With `c_i = w_i v·(y_i - mean)`, which sum to 0, and `p_i = E[1/s²|x,y_i]`, p that of the nearest point,
//!
//! ```text
//! d ln w_i/dx = p_i (y_i - x) + const                       p_i = p (1 - lack_i)
//! v^T dE[y|x]/dx     = Σ c_i p_i (y_i - x) = Σ c_i p_i (y_i - mean) + p (x - mean) Σ c_i lack_i
//! v^T dE[y|x]/dsigma = D sigma p Σ c_i lack_i,   Σ c_i (|x-y_i|² - |x-y|²)/sigma³ at D = ∞
//! ```
//!
//! About the mean and by what the precisions lack, nothing cancels: neither where one point has nearly all of the
//! weight, nor where x is far from all of them. So the mean comes first, in a pass of its own.

use std::ops::Range;

use rayon::prelude::*;

use super::likelihood::Likelihood;
use super::points::Points;
use super::product::{multiply_add, multiply_transposed};
use super::real::Real;
use super::stream::{Cut, Joined, Scratch, Tile, excess, join, weight};
use crate::Dimension;

/// `E[y|x]` of a batch with a covector taken back through it.
pub(super) struct Gradient<T> {
    /// `E[y|x]`, `[B, N]`.
    pub mean: Vec<T>,
    /// `v^T dE[y|x]/dx`, `[B, N]`.
    pub x: Vec<T>,
    /// `v^T dE[y|x]/dsigma`, `[B]`.
    pub sigma: Vec<f64>,
}

/// `E[y|x]` of samples `x` `[B, N]` at noise levels `sigma` `[B]`, and `v` `[B, N]` taken back through it.
pub(super) fn posterior_gradient<S: Real, T: Real>(
    points: &Points,
    y: &[S],
    d: Dimension,
    x: &[T],
    sigma: &[f64],
    v: &[T],
) -> Gradient<T> {
    let (n, cut) = (points.n(), Cut::new(points));
    let mut gradient = Gradient {
        mean: Vec::with_capacity(x.len()),
        x: Vec::with_capacity(x.len()),
        sigma: Vec::with_capacity(sigma.len()),
    };
    let waves = x.chunks(cut.wave() * n).zip(v.chunks(cut.wave() * n));
    for ((x, v), sigma) in waves.zip(sigma.chunks(cut.wave())) {
        let tiles = Tile::cut(points, cut, d, x, sigma);
        let partials = Tile::over_data(&tiles, points, y, cut);
        let joined: Vec<Joined> = (0..sigma.len())
            .into_par_iter()
            .map(|b| join(&tiles, &partials, cut, b))
            .collect();
        let pulls: Vec<Pull<T>> = (tiles.iter().zip(joined.chunks(cut.tile)))
            .zip(v.chunks(cut.tile * n))
            .map(|((tile, joined), v)| Pull::new(tile, joined, v))
            .collect();
        let partials: Vec<Moved<T>> = (0..pulls.len() * cut.segments)
            .into_par_iter()
            .map_init(Default::default, |(scratch, projections), task| {
                let (pull, segment) = (&pulls[task / cut.segments], task % cut.segments);
                pull.over_segment(points, y, cut, segment, scratch, projections)
            })
            .collect();
        for (b, (joined, &sigma)) in joined.iter().zip(sigma).enumerate() {
            let (tile, row) = (b / cut.tile, b % cut.tile);
            let partials = &partials[tile * cut.segments..][..cut.segments];
            let (moved, by_sigma) = pulls[tile].join(partials, row, d, sigma);
            let mean = joined.mean.iter().zip(points.centre());
            gradient
                .mean
                .extend(mean.map(|(about, c)| T::of(f64::from(*c) + about)));
            gradient.x.extend(moved.into_iter().map(T::of));
            gradient.sigma.push(by_sigma);
        }
    }
    gradient
}

/// A tile of samples with what is known of them after the first pass.
struct Pull<'a, T> {
    tile: &'a Tile<T>,
    joined: &'a [Joined],
    /// Covectors, `[samples, N]`.
    v: &'a [T],
    /// `v·(mean - centre)` of each sample.
    level: Vec<f64>,
}

/// What a segment of the data contributes to the derivatives of a tile.
struct Moved<T> {
    /// `Σ c (1 - lack) (y - centre)`, `[samples, N]`.
    sum: Vec<T>,
    /// `Σ c (1 - lack)` of each sample.
    share: Vec<f64>,
    /// `Σ c lack` of each sample, at D = ∞ `Σ c (a - nearest)`.
    change: Vec<f64>,
}

impl<'a, T: Real> Pull<'a, T> {
    fn new(tile: &'a Tile<T>, joined: &'a [Joined], v: &'a [T]) -> Self {
        let rows = v.chunks_exact(tile.n()).zip(joined);
        let level = rows
            .map(|(v, joined)| {
                let terms = v.iter().zip(&joined.mean).map(|(v, mean)| v.value() * mean);
                terms.sum()
            })
            .collect();
        Self {
            tile,
            joined,
            v,
            level,
        }
    }

    fn over_segment<S: Real>(
        &self,
        points: &Points,
        y: &[S],
        cut: Cut,
        segment: usize,
        scratch: &mut Scratch<T>,
        projections: &mut Vec<T>,
    ) -> Moved<T> {
        let (n, samples) = (points.n(), self.joined.len());
        let mut moved = Moved {
            sum: vec![T::default(); samples * n],
            share: vec![0.0; samples],
            change: vec![0.0; samples],
        };
        for block in cut.blocks(points, segment) {
            let rows = block.len();
            scratch.score(points, y, &block, &self.tile.x);
            projections.resize(samples * rows, T::default());
            multiply_transposed(self.v, &scratch.block, projections, [samples, rows, n]);
            if self.weigh(&mut moved, points, block, &scratch.scores, projections) {
                let sum = &mut moved.sum;
                multiply_add(projections, &scratch.block, sum, [samples, n, rows]);
            }
        }
        moved
    }

    /// Turns projections `v·y` into `c (1 - lack)`; false if all of them are 0.
    fn weigh(
        &self,
        moved: &mut Moved<T>,
        points: &Points,
        block: Range<usize>,
        scores: &[T],
        projections: &mut [T],
    ) -> bool {
        let rows = block.len();
        let squares = &points.squares()[block];
        let mut any = false;
        for (b, (joined, law)) in self.joined.iter().zip(&self.tile.laws).enumerate() {
            let scores = &scores[b * rows..(b + 1) * rows];
            let projections = &mut projections[b * rows..(b + 1) * rows];
            for ((projection, score), square) in projections.iter_mut().zip(scores).zip(squares) {
                let a = excess(score, square);
                let w = weight(*law, a, joined.nearest);
                if w == 0.0 {
                    *projection = T::default();
                    continue;
                }
                any = true;
                let c = w / joined.weight * (projection.value() - self.level[b]);
                let lack = law.lack(a, joined.nearest);
                *projection = T::of(c * (1.0 - lack));
                moved.share[b] += projection.value();
                moved.change[b] += match law {
                    Likelihood::Gaussian { .. } => c * (a - joined.nearest),
                    Likelihood::StudentT { .. } => c * lack,
                };
            }
        }
        any
    }

    /// `v^T dE[y|x]/dx` and `v^T dE[y|x]/dsigma` of sample `row`.
    fn join(&self, partials: &[Moved<T>], row: usize, d: Dimension, sigma: f64) -> (Vec<f64>, f64) {
        let n = self.tile.n();
        let (law, joined) = (self.tile.laws[row], &self.joined[row]);
        let precision = law.precision(joined.nearest);
        if precision == f64::INFINITY {
            // Without noise the estimate stays at the nearest point, whatever a small step of x.
            return (vec![0.0; n], 0.0);
        }
        let share: f64 = partials.iter().map(|p| p.share[row]).sum();
        let change: f64 = partials.iter().map(|p| p.change[row]).sum();
        // What the distance from x to the mean counts for, and the derivative by sigma.
        let (lack, by_sigma) = match law {
            Likelihood::Gaussian { .. } => (0.0, precision * change / sigma),
            Likelihood::StudentT { .. } => (change, d.value() * (sigma * precision * change)),
        };
        let x = &self.tile.x[row * n..(row + 1) * n];
        let moved = joined.mean.iter().zip(x).enumerate().map(|(j, (mean, x))| {
            let sum: f64 = partials.iter().map(|p| p.sum[row * n + j].value()).sum();
            precision * (sum - mean * share + (x.value() - mean) * lack)
        });
        (moved.collect(), by_sigma)
    }
}
