//! Precision: the part of the samples that lie where data lie (Kynkäänniemi et al. 2019, arXiv:1904.06991).

use candle_core::Tensor;

use crate::balls::{Balls, NEAREST, indicator, mean};
use crate::inputs::{Inputs, Need};
use crate::metric::{Better, Description, Estimate, Metric};
use crate::samples::{MetricError, Samples};

/// The part of the samples that lie in the ball of any datum, and its standard error over the samples, the balls given.
///
/// ```text
/// mean over samples x of [x in any B_i]
/// ```
///
/// `B_i` reaches from datum `y_i` to the `k`-th nearest of the other data, without its edge.
///
/// # Errors
///
/// Samples of different size, data of no more than `k`, values that are not finite, and failures of the tensor backend.
pub fn precision(samples: &Tensor, data: &Tensor, k: usize) -> Result<Estimate, MetricError> {
    let (samples, data) = Samples::read_pair(samples, data)?;
    let balls = Balls::of(("data", &data), &samples, k)?;
    Ok(mean(balls.holders.iter().map(|&n| indicator(n > 0))))
}

/// [`precision`] of the samples with 5 neighbours.
pub struct Precision;

impl Metric for Precision {
    fn description(&self) -> Description {
        Description {
            name: "precision",
            label: "precision",
            short: "precision",
            unit: "part of the samples",
            meaning: "the part of the samples that lie among the held-out data (5 nearest neighbours): how many are faithful",
            better: Better::Higher,
            across_d: true,
        }
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Features]
    }

    fn evaluate(&self, inputs: &Inputs<'_>) -> Result<Estimate, MetricError> {
        let [samples, data] = inputs.features()?;
        precision(samples, data, NEAREST)
    }
}
