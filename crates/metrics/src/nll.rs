//! How likely a model finds data that it has not seen.

use crate::inputs::{Inputs, Need};
use crate::metric::{Better, Description, Estimate, Metric};
use crate::samples::MetricError;

/// Data it is taken over at most.
const MOST: usize = 256;

/// Negative log-likelihood of held-out data, in nats per dimension, with its standard error over the data.
///
/// ```text
/// -E[ln p(y)] / N,   ln p along the ODE of the samples, by one Rademacher probe a datum
/// ```
///
/// Over 256 held-out data at most, evenly spaced. Probes follow from the seed and the datum, so that models of one seed are
/// compared on the same data with the same probes, across D too.
pub struct Nll;

impl Metric for Nll {
    fn description(&self) -> Description {
        Description {
            name: "nll",
            label: "negative log-likelihood",
            short: "NLL",
            unit: "nats per dimension",
            meaning: "mean of -ln p / N of held-out data along the sampler's ODE, of states at its lowest noise level",
            better: Better::Lower,
            across_d: true,
        }
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Denoiser]
    }

    fn evaluate(&self, inputs: &Inputs<'_>) -> Result<Estimate, MetricError> {
        let denoiser = inputs.denoiser()?;
        // Evenly over all: data may stand class by class.
        let (len, num) = (denoiser.len(), denoiser.len().min(MOST));
        let indices: Vec<usize> = (0..num).map(|i| i * len / num).collect();
        let values = denoiser.nll(&indices, inputs.seed);
        let values = values.map_err(MetricError::Denoiser)?;
        let num = values.len() as f64;
        let mean = values.iter().sum::<f64>() / num;
        let square: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        Ok(Estimate {
            value: mean,
            standard_error: (values.len() > 1).then(|| (square / (num - 1.0) / num).sqrt()),
        })
    }
}
