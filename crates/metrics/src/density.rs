//! Density: in how many balls of data a sample lies (Naeem et al. 2020, arXiv:2002.09797).

use candle_core::Tensor;

use crate::balls::{Balls, NEAREST, mean};
use crate::inputs::{Inputs, Need};
use crate::metric::{Better, Description, Estimate, Metric};
use crate::samples::{MetricError, Samples};

/// In how many balls of data a sample lies, in units of `k`, and its standard error over the samples, the balls given.
///
/// ```text
/// 1/k mean over samples x of #{ i : x in B_i }
/// ```
///
/// `B_i` reaches from datum `y_i` to the `k`-th nearest of the other data, without its edge. About 1 for new data, above 1 where
/// samples crowd where data crowd; unlike precision it does not trust the ball of one datum far out.
///
/// # Errors
///
/// Samples of different size, data of no more than `k`, values that are not finite, and failures of the tensor backend.
pub fn density(samples: &Tensor, data: &Tensor, k: usize) -> Result<Estimate, MetricError> {
    let (samples, data) = Samples::read_pair(samples, data)?;
    let balls = Balls::of(("data", &data), &samples, k)?;
    Ok(mean(balls.holders.iter().map(|&n| n as f64 / k as f64)))
}

/// [`density`] of the samples with 5 neighbours.
pub struct Density;

impl Metric for Density {
    fn description(&self) -> Description {
        Description {
            name: "density",
            label: "density",
            short: "density",
            unit: "that of data among data",
            meaning: "how densely samples lie where held-out data lie (5 nearest neighbours): about 1 for new data",
            better: Better::Higher,
            across_d: true,
        }
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Features]
    }

    fn evaluate(&self, inputs: &Inputs<'_>) -> Result<Estimate, MetricError> {
        let [samples, data] = inputs.features()?;
        density(samples, data, NEAREST)
    }
}
