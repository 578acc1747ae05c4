//! Kurtosis: how much of a column's spread comes from few rows.

use super::{mean_ratio, of_both};
use crate::inputs::{Inputs, Need};
use crate::metric::{Better, Description, Estimate, Metric};
use crate::samples::MetricError;

/// The kurtosis of `values`, 3 of a Gaussian; `None` of values that do not vary.
///
/// ```text
/// E(y - E y)⁴ / (E(y - E y)²)²
/// ```
///
/// Where the law has a tail index of 4 or less it has no limit, and grows with the number of values.
pub fn kurtosis(values: &[f64]) -> Option<f64> {
    let num = values.len() as f64;
    let mean = values.iter().sum::<f64>() / num;
    let (mut second, mut fourth) = (0.0, 0.0);
    for value in values {
        let square = (value - mean).powi(2);
        second += square;
        fourth += square * square;
    }
    let kurtosis = num * fourth / (second * second);
    kurtosis.is_finite().then_some(kurtosis)
}

/// The samples' [`kurtosis`] over that of the held-out data, in the geometric mean over columns.
pub struct Kurtosis;

impl Metric for Kurtosis {
    fn description(&self) -> Description {
        Description {
            name: "kurtosis",
            label: "kurtosis ratio",
            short: "kurtosis",
            unit: "ratio to the data's",
            meaning: "the kurtosis of the samples' columns over that of the held-out data: below 1 where the samples have \
                      fewer or nearer extremes",
            better: Better::Near(1.0),
            across_d: true,
        }
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Samples, Need::HeldOut]
    }

    fn evaluate(&self, inputs: &Inputs<'_>) -> Result<Estimate, MetricError> {
        of_both(self, inputs, |x, y| mean_ratio((x, y), kurtosis, 0.0))
    }
}
