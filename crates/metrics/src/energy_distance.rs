//! The energy distance (Székely and Rizzo 2013, "Energy statistics: a class of statistics based on
//! distances").

use std::ops::Range;

use candle_core::Tensor;
use rayon::prelude::*;

use crate::inputs::{Inputs, Need};
use crate::metric::{Better, Description, Estimate, Metric};
use crate::pairs::{Scratch, SetPair};
use crate::samples::{MetricError, Samples};

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

/// The standard error of [`energy_distance`] over both sets: the jackknife of a two-sample U-statistic; `None` where a set
/// has fewer than 3 samples.
///
/// # Errors
///
/// As [`energy_distance`].
pub fn energy_distance_error(x: &Tensor, y: &Tensor) -> Result<Option<f64>, MetricError> {
    let (x, y) = Samples::read_pair(x, y)?;
    let pair = SetPair::of(&x, &y, &x.mean(), |scratch, row| scratch.distances(row));
    Ok(pair.standard_error([-1.0, 2.0]))
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
        let (samples, held_out) = (inputs.samples()?, inputs.held_out()?);
        let standard_error = match inputs.errors {
            true => energy_distance_error(samples, held_out)?,
            false => None,
        };
        Ok(Estimate {
            value: energy_distance(samples, held_out)?,
            standard_error,
        })
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
                    .map(|i| scratch.distance_sum(i, first(i)..columns.len()))
                    .sum()
            },
        )
        .collect();
    sums.iter().sum()
}
