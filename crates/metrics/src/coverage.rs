//! Coverage: the part of the data that have a sample near (Naeem et al. 2020, arXiv:2002.09797).

use candle_core::Tensor;

use crate::balls::{Balls, NEAREST, indicator, mean};
use crate::inputs::{Inputs, Need};
use crate::metric::{Better, Description, Estimate, Metric};
use crate::samples::{MetricError, Samples};

/// The part of the data whose ball holds a sample, and its standard error over the data, the samples given.
///
/// ```text
/// mean over i of [any sample x in B_i]
/// ```
///
/// `B_i` reaches from datum `y_i` to the `k`-th nearest of the other data, without its edge. Unlike recall its balls are those of the data,
/// so that samples far out cannot help; for `n` new data of one law with the data it is 1 - ((m - 1)...(m - k))/((n + m - 1)...(n + m - k)), `m` data.
///
/// # Errors
///
/// Samples of different size, data of no more than `k`, values that are not finite, and failures of the tensor backend.
pub fn coverage(samples: &Tensor, data: &Tensor, k: usize) -> Result<Estimate, MetricError> {
    let (samples, data) = Samples::read_pair(samples, data)?;
    let balls = Balls::of(("data", &data), &samples, k)?;
    Ok(mean(balls.occupied.iter().map(|&held| indicator(held))))
}

/// [`coverage`] of the samples with 5 neighbours.
pub struct Coverage;

impl Metric for Coverage {
    fn description(&self) -> Description {
        Description {
            name: "coverage",
            label: "coverage",
            short: "coverage",
            unit: "part of the held-out data",
            meaning: "the part of the held-out data that have a sample among their 5 nearest neighbours: how much of the variety is there",
            better: Better::Higher,
            across_d: true,
        }
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Features]
    }

    fn evaluate(&self, inputs: &Inputs<'_>) -> Result<Estimate, MetricError> {
        let [samples, data] = inputs.features()?;
        coverage(samples, data, NEAREST)
    }
}
