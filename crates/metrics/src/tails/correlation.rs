//! How far the correlations between columns are off.

use super::columns::Columns;
use super::of_both;
use crate::inputs::{Inputs, Need};
use crate::metric::{Better, Description, Estimate, Metric};
use crate::samples::MetricError;

/// Spearman's correlation of two columns: that of their ranks, which no tail moves, however heavy; equal values share their mean
/// rank. `None` where either does not vary.
pub fn rank_correlation(x: &[f64], y: &[f64]) -> Option<f64> {
    of_ranks(&centred_ranks(x), &centred_ranks(y))
}

fn of_ranks(x: &[f64], y: &[f64]) -> Option<f64> {
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let correlation = product(x, y) / (product(x, x) * product(y, y)).sqrt();
    correlation.is_finite().then_some(correlation)
}

/// The rank of each value less the mean rank.
fn centred_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let middle = 0.5 * (values.len() as f64 - 1.0);
    let mut start = 0;
    while start < order.len() {
        let first = values[order[start]];
        let same = order[start..].iter().take_while(|&&i| values[i] == first);
        let end = start + same.count();
        for &i in &order[start..end] {
            ranks[i] = 0.5 * (start + end - 1) as f64 - middle;
        }
        start = end;
    }
    ranks
}

/// The root mean square over pairs of columns of the difference of their correlations.
fn error(samples: &Columns, data: &Columns) -> f64 {
    let ranks = |table: &Columns| -> Vec<Vec<f64>> {
        table
            .columns
            .iter()
            .map(|column| centred_ranks(column))
            .collect()
    };
    let (x, y) = (ranks(samples), ranks(data));
    let (mut sum, mut pairs) = (0.0, 0);
    for a in 0..x.len() {
        for b in 0..a {
            if let (Some(own), Some(want)) = (of_ranks(&x[a], &x[b]), of_ranks(&y[a], &y[b])) {
                sum += (own - want).powi(2);
                pairs += 1;
            }
        }
    }
    // Without pairs it is not a number.
    (sum / f64::from(pairs)).sqrt()
}

/// The root mean square difference of the [`rank_correlation`]s of the samples' columns from those of the held-out data.
pub struct CorrelationError;

impl Metric for CorrelationError {
    fn description(&self) -> Description {
        Description {
            name: "correlation_error",
            label: "correlation error",
            short: "corr. error",
            unit: "correlation",
            meaning: "root mean square difference of Spearman's correlations between columns from those of the held-out \
                      data; never quite 0 for finite sets",
            better: Better::Lower,
            across_d: true,
        }
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Samples, Need::HeldOut]
    }

    fn evaluate(&self, inputs: &Inputs<'_>) -> Result<Estimate, MetricError> {
        of_both(self, inputs, error)
    }
}
