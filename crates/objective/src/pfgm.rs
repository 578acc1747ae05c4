//! Original PFGM as a training objective.

use candle_core::{DType, Result, Tensor};
use pfgmpp_kernel::SampleRng;
use pfgmpp_transfer::ParameterError;
use serde::{Deserialize, Serialize};

use crate::field::check_gamma;
use crate::{PfgmField, PfgmPerturbation};

/// A network in training that predicts the normalised field.
pub trait TrainableField {
    /// Predicts `v` at `x` `[B, ...]` and `z` `[B]` with gradients.
    ///
    /// Returns `[B, N + 1]`, the z component last.
    ///
    /// # Errors
    ///
    /// Shapes that do not fit the model, and failures of the tensor backend.
    fn field(&self, x: &Tensor, z: &[f64]) -> Result<Tensor>;
}

/// The loss of one batch of field predictions.
pub struct FieldLoss {
    /// Mean over batch and components, a scalar with gradients.
    pub mean: Tensor,
    /// The extra coordinate of each sample.
    pub z: Vec<f64>,
    /// The loss of each sample, mean over its components, shape `[B]`, without gradients.
    pub per_sample: Tensor,
}

/// The objective of original PFGM: regression on the normalised field of a large batch (D = 1).
///
/// ```text
/// L = E |v_network(x, z) - v(x, z)|² / (N + 1)
/// ```
///
/// Source: Xu et al. 2022, arXiv:2209.11178, section 3.2; published gamma 5.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PfgmObjective {
    /// Where the field is learned.
    pub perturbation: PfgmPerturbation,
    /// Softens the normalisation next to the data, in units of the data.
    pub gamma: f64,
}

impl PfgmObjective {
    /// Checks the parameters.
    ///
    /// # Errors
    ///
    /// See [`PfgmPerturbation::check`]; a gamma that is negative or not finite.
    pub fn check(&self) -> std::result::Result<(), ParameterError> {
        self.perturbation.check()?;
        check_gamma(self.gamma)
    }

    /// Perturbs the first samples of a large batch and measures the model's error on its field.
    ///
    /// - `large_batch`: clean data, shape `[L, ...]`; the field is that of all of them.
    /// - `rngs`: one generator a sample; the first `rngs.len() <= L` data are perturbed.
    ///
    /// # Errors
    ///
    /// A large batch with fewer samples than generators, and what [`PfgmPerturbation::perturb`],
    /// [`PfgmField`] and the model refuse.
    pub fn loss(
        &self,
        model: &impl TrainableField,
        large_batch: &Tensor,
        rngs: &mut [SampleRng],
    ) -> Result<FieldLoss> {
        let y = large_batch.narrow(0, 0, rngs.len())?;
        let (x, z) = self.perturbation.perturb(&y, rngs)?;
        let target = PfgmField::new(large_batch, self.gamma)?.target(&x, &z)?;
        let error = (model.field(&x, &z)? - target)?.sqr()?.mean(1)?;
        Ok(FieldLoss {
            mean: error.mean_all()?,
            z,
            per_sample: error.detach().to_dtype(DType::F64)?,
        })
    }
}
