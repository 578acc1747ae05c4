//! The Kolmogorov-Smirnov distance beyond quantiles of the data.

use super::columns::Columns;
use super::of_both;
use crate::inputs::{Inputs, Need};
use crate::metric::{Better, Description, Estimate, Metric};
use crate::samples::MetricError;

/// The Kolmogorov-Smirnov distance between samples and data beyond the data's quantiles `share` and `1 - share`, over `share`.
///
/// ```text
/// max over both sides of sup_(t beyond the quantile) |P(x beyond t) - P(y beyond t)| / share
/// ```
///
/// 0 for the same tails, 1 where the samples do not reach beyond the quantiles at all, more where they have more than twice as
/// many rows there. By chance it is about `1 / sqrt(share n)`.
pub fn tail_distance(samples: &[f64], data: &[f64], share: f64) -> f64 {
    let beyond = |side: f64| beyond(samples, data, side, share);
    beyond(1.0).max(beyond(-1.0)) / share
}

/// The largest difference of the shares that lie at or above a threshold, over thresholds in the data's highest `share`; on the other
/// side for `side = -1`.
fn beyond(samples: &[f64], data: &[f64], side: f64, share: f64) -> f64 {
    let k = ((share * data.len() as f64).round() as usize).clamp(1, data.len());
    let descending = |a: &f64, b: &f64| b.total_cmp(a);
    let mut all: Vec<f64> = data.iter().map(|value| side * value).collect();
    let lowest = *all.select_nth_unstable_by(k - 1, descending).1;
    let farthest = |values: &[f64]| {
        let values = values.iter().map(|value| side * value);
        let mut there: Vec<f64> = values.filter(|value| *value >= lowest).collect();
        there.sort_unstable_by(descending);
        there
    };
    let (x, y) = (farthest(samples), farthest(data));
    // Both shares change at values of either set only.
    let (mut i, mut j, mut largest) = (0, 0, 0.0_f64);
    loop {
        let next = match (x.get(i), y.get(j)) {
            (Some(x), Some(y)) => x.max(*y),
            (Some(x), None) => *x,
            (None, Some(y)) => *y,
            (None, None) => return largest,
        };
        i += x[i..].iter().take_while(|x| **x >= next).count();
        j += y[j..].iter().take_while(|y| **y >= next).count();
        let difference = i as f64 / samples.len() as f64 - j as f64 / data.len() as f64;
        largest = largest.max(difference.abs());
    }
}

/// The mean over columns.
pub(super) fn mean(samples: &Columns, data: &Columns, share: f64) -> f64 {
    let pairs = samples.columns.iter().zip(&data.columns);
    let distances = pairs.map(|(x, y)| tail_distance(x, y, share));
    distances.sum::<f64>() / samples.columns.len() as f64
}

/// [`tail_distance`] beyond the data's 5 % and 95 % quantiles, or 1 % and 99 %, in the mean over columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TailDistance {
    /// Beyond 5 % and 95 %.
    Beyond95,
    /// Beyond 1 % and 99 %.
    Beyond99,
}

impl Metric for TailDistance {
    fn description(&self) -> Description {
        let (name, label, short, meaning) = match self {
            Self::Beyond95 => (
                "tail_ks_95",
                "tail distance, 95 %",
                "tail 95 %",
                "the Kolmogorov-Smirnov distance between samples and held-out data beyond the data's 5 % and 95 % \
                 quantiles, as a part of the rows there; never quite 0 for finite sets",
            ),
            Self::Beyond99 => (
                "tail_ks_99",
                "tail distance, 99 %",
                "tail 99 %",
                "the Kolmogorov-Smirnov distance between samples and held-out data beyond the data's 1 % and 99 % \
                 quantiles, as a part of the rows there; never quite 0 for finite sets",
            ),
        };
        Description {
            name,
            label,
            short,
            unit: "part of the tail",
            meaning,
            better: Better::Lower,
            across_d: true,
        }
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Samples, Need::HeldOut]
    }

    fn evaluate(&self, inputs: &Inputs<'_>) -> Result<Estimate, MetricError> {
        let share = match self {
            Self::Beyond95 => 0.05,
            Self::Beyond99 => 0.01,
        };
        of_both(self, inputs, |x, y| mean(x, y, share))
    }
}
