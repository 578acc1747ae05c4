//! Recall: the part of the data that lie where samples lie (Kynkäänniemi et al. 2019, arXiv:1904.06991).

use candle_core::Tensor;

use crate::balls::{Balls, NEAREST, indicator, mean};
use crate::inputs::{Inputs, Need};
use crate::metric::{Better, Description, Estimate, Metric};
use crate::samples::{MetricError, Samples};

/// The part of the data that lie in the ball of any sample, and its standard error over the data, the balls given.
///
/// ```text
/// mean over data y of [y in any B_j]
/// ```
///
/// `B_j` reaches from sample `x_j` to the `k`-th nearest of the other samples, without its edge; one sample far out has a ball
/// that holds much.
///
/// # Errors
///
/// Samples of different size, samples of no more than `k`, values that are not finite, and failures of the tensor backend.
pub fn recall(samples: &Tensor, data: &Tensor, k: usize) -> Result<Estimate, MetricError> {
    let (samples, data) = Samples::read_pair(samples, data)?;
    let balls = Balls::of(("samples", &samples), &data, k)?;
    Ok(mean(balls.holders.iter().map(|&n| indicator(n > 0))))
}

/// [`recall`] of the samples with 5 neighbours.
pub struct Recall;

impl Metric for Recall {
    fn description(&self) -> Description {
        Description {
            name: "recall",
            label: "recall",
            short: "recall",
            unit: "part of the held-out data",
            meaning: "the part of the held-out data that lie among the samples (5 nearest neighbours): how much of the variety is there",
            better: Better::Higher,
            across_d: true,
        }
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Features]
    }

    fn evaluate(&self, inputs: &Inputs<'_>) -> Result<Estimate, MetricError> {
        let [samples, data] = inputs.features()?;
        recall(samples, data, NEAREST)
    }
}
