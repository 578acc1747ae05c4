//! The weighted regression that every objective is.

use candle_core::{Result, Tensor};
use pfgmpp_kernel::{beside, in_f64};

/// A model in training: it predicts an objective's target and says how to weight its own errors.
///
/// Unlike a [`Denoiser`](pfgmpp_kernel::Denoiser) it answers with a graph, for the gradients of its parameters.
pub trait TrainingModel {
    /// Predicts the target at some noise levels.
    ///
    /// - `x`: perturbed data, shape `[B, ...]`.
    /// - `sigma`: nominal noise level of each sample, length `B`; the extra coordinate z for a field.
    ///
    /// # Errors
    ///
    /// Shapes that do not fit the model, and failures of the tensor backend.
    fn predict(&self, x: &Tensor, sigma: &[f64]) -> Result<Weighted>;
}

/// A prediction and what its errors weigh.
pub struct Weighted {
    /// Shaped as the objective's target, with gradients.
    pub prediction: Tensor,
    /// Loss weight of each sample, length `B`.
    ///
    /// It may depend on `x` as well as on `sigma`: the minimiser of a weighted squared error is the target's
    /// mean given x for any positive weight that does not depend on `y`.
    pub weight: Vec<f64>,
}

/// The loss of one batch.
pub struct Loss {
    /// Mean over batch and elements, a scalar with gradients.
    pub mean: Tensor,
    /// The noise level drawn for each sample; its extra coordinate z for a field.
    pub sigma: Vec<f64>,
    /// The loss of each sample, mean over its elements, shape `[B]`, without gradients.
    pub per_sample: Tensor,
}

impl Loss {
    /// The weighted error of `model` at `x` `[B, ...]` beside `target`, shaped as its prediction.
    pub(crate) fn of(
        model: &impl TrainingModel,
        x: &Tensor,
        sigma: Vec<f64>,
        target: &Tensor,
    ) -> Result<Self> {
        let Weighted { prediction, weight } = model.predict(x, &sigma)?;
        let b = weight.len();
        let weight = beside(weight, b, target)?;
        let error = (prediction - target)?.sqr()?.flatten_from(1)?.mean(1)?;
        let per_sample = (error * weight)?;
        Ok(Self {
            mean: per_sample.mean_all()?,
            sigma,
            per_sample: in_f64(&per_sample.detach())?,
        })
    }
}
