//! The tail index by Hill's estimate (Hill 1975, "A simple general approach to inference about the tail of a distribution").

use super::columns::median;
use super::{mean_ratio, of_both};
use crate::inputs::{Inputs, Need};
use crate::metric::{Better, Description, Estimate, Metric};
use crate::samples::MetricError;

/// Rows that a tail has at least.
const FEWEST: usize = 5;

/// Hill's estimate of the tail index of the law of `magnitudes` from the `k` largest of them; reorders them.
///
/// ```text
/// k / Σ ln(m_(i) / m_(k+1)),   m_(1) >= m_(2) >= ...,   P(m > t) ~ t^(-index)
/// ```
///
/// A small index is a heavy tail: moments of that order and above do not exist. Its standard error is about `index / sqrt(k)`.
/// `None` if there are no more than `k`, if the `(k + 1)`-th largest is not positive, or if all `k` are as large as that.
pub fn hill_index(magnitudes: &mut [f64], k: usize) -> Option<f64> {
    if k == 0 || magnitudes.len() <= k {
        return None;
    }
    let descending = |a: &f64, b: &f64| b.total_cmp(a);
    let (largest, &mut threshold, _) = magnitudes.select_nth_unstable_by(k, descending);
    let sum: f64 = largest.iter().map(|value| (value / threshold).ln()).sum();
    let index = k as f64 / sum;
    (threshold > 0.0 && index.is_finite()).then_some(index)
}

/// A tail of a column: the rows that lie farthest from its median on one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// The lowest 5 % of the rows.
    Left95,
    /// The highest 5 %.
    Right95,
    /// The lowest 1 %.
    Left99,
    /// The highest 1 %.
    Right99,
}

impl Tail {
    /// The share of the rows.
    pub(super) fn share(self) -> f64 {
        match self {
            Self::Left95 | Self::Right95 => 0.05,
            Self::Left99 | Self::Right99 => 0.01,
        }
    }

    /// Hill's index of this tail of a column; `None` if there is none, or if it has fewer than 5 rows.
    pub(super) fn index(self, values: &[f64]) -> Option<f64> {
        let mut values = values.to_vec();
        let centre = median(&mut values);
        let side = match self {
            Self::Left95 | Self::Left99 => -1.0,
            Self::Right95 | Self::Right99 => 1.0,
        };
        for value in &mut values {
            *value = side * (*value - centre);
        }
        let k = (self.share() * values.len() as f64).round() as usize;
        if k < FEWEST {
            None
        } else {
            hill_index(&mut values, k)
        }
    }
}

/// The tail index of the samples over that of the held-out data, in the geometric mean over columns.
///
/// Each by [`hill_index`] of the rows of a [`Tail`], which for a share that goes to zero is the exponent of the tail. Of 5 % and 1 % of
/// a Student-t it lies somewhat below, of samples and data alike.
pub struct Hill(pub Tail);

impl Metric for Hill {
    fn description(&self) -> Description {
        let (name, label, short, meaning) = match self.0 {
            Tail::Left95 => (
                "hill_left",
                "left tail index ratio",
                "Hill left",
                "Hill's tail index of the lowest 5 % of the samples' columns over that of the held-out data: above 1 \
                 where the samples' tails are lighter",
            ),
            Tail::Right95 => (
                "hill_right",
                "right tail index ratio",
                "Hill right",
                "Hill's tail index of the highest 5 % of the samples' columns over that of the held-out data: above 1 \
                 where the samples' tails are lighter",
            ),
            Tail::Left99 => (
                "hill_left_99",
                "left tail index ratio, 1 %",
                "Hill left 1 %",
                "Hill's tail index of the lowest 1 % of the samples' columns over that of the held-out data: above 1 \
                 where the samples' tails are lighter",
            ),
            Tail::Right99 => (
                "hill_right_99",
                "right tail index ratio, 1 %",
                "Hill right 1 %",
                "Hill's tail index of the highest 1 % of the samples' columns over that of the held-out data: above 1 \
                 where the samples' tails are lighter",
            ),
        };
        Description {
            name,
            label,
            short,
            unit: "ratio to the data's",
            meaning,
            better: Better::Near(1.0),
            across_d: true,
        }
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Samples, Need::HeldOut]
    }

    fn evaluate(&self, inputs: &Inputs<'_>) -> Result<Estimate, MetricError> {
        of_both(self, inputs, |x, y| {
            mean_ratio((x, y), |column| self.0.index(column), f64::INFINITY)
        })
    }
}
