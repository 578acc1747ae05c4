//! Original PFGM as a training objective.

use candle_core::{Result, Tensor};
use pfgmpp_kernel::SampleRng;
use pfgmpp_transfer::ParameterError;

use crate::field::check_gamma;
use crate::{Loss, PfgmField, PfgmPerturbation, TrainingModel};

/// The objective of original PFGM: regression on the normalised field of a large batch (D = 1).
///
/// ```text
/// L = E |v_network(x, z) - v(x, z)|² / (N + 1)
/// ```
///
/// Source: Xu et al. 2022, arXiv:2209.11178, section 3.2; published gamma 5.
#[derive(Clone, Debug, PartialEq)]
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

    /// Perturbs a batch and measures the model's error on the field of a large batch.
    ///
    /// - `model`: predicts the normalised field `[B, N + 1]` at x and z, its z component last.
    /// - `y`: clean data, shape `[B, ...]`.
    /// - `large_batch`: the data whose field is learned, shape `[L, ...]`; it should hold `y`.
    /// - `rngs`: one generator a sample.
    ///
    /// # Errors
    ///
    /// What [`PfgmPerturbation::perturb`], [`PfgmField`] and the model refuse.
    pub fn loss(
        &self,
        model: &impl TrainingModel,
        y: &Tensor,
        large_batch: &Tensor,
        rngs: &mut [SampleRng],
    ) -> Result<Loss> {
        let (x, z) = self.perturbation.perturb(y, rngs)?;
        let target = PfgmField::new(large_batch, self.gamma)?.target(&x, &z)?;
        Loss::of(model, &x, z, &target)
    }
}
