//! Moment matching: the data behind a sample taken for Gaussian.

use candle_core::{Result, Tensor};
use pfgmpp_kernel::{ConditionSpec, Denoiser, Dimension, Query};
use pfgmpp_transfer::ParameterError;

use super::{ConjugateGradients, Covariance, Observation};

/// A denoiser told of an observation by the first two moments of the data behind a sample.
///
/// ```text
/// E[y | x, y_o] ≈ m + S A^T (sigma_o² + A S A^T)^-1 (y_o - A m),   m = E[y | x],   S ≈ Cov(y | x)
/// ```
///
/// with S by [`Denoiser::pullback`] as [`Covariance`] says. Exact where the data behind a sample are Gaussian, as at low noise or
/// of Gaussian data. Takes one evaluation of the model, and one with its derivative for each iteration. (Rozet et al. 2024,
/// arXiv:2405.13712, at D = ∞.)
#[derive(Clone, Debug)]
pub struct Mmps<M> {
    model: M,
    d: Dimension,
    observation: Observation,
    covariance: Covariance,
    iterations: ConjugateGradients,
}

impl<M: Denoiser> Mmps<M> {
    /// Tells `model`, of data perturbed at `d`, of an `observation`.
    ///
    /// # Errors
    ///
    /// What [`ConjugateGradients::check`] refuses.
    pub fn new(
        model: M,
        d: Dimension,
        observation: Observation,
        covariance: Covariance,
        iterations: ConjugateGradients,
    ) -> std::result::Result<Self, ParameterError> {
        iterations.check()?;
        Ok(Self {
            model,
            d,
            observation,
            covariance,
            iterations,
        })
    }
}

impl<M: Denoiser> Denoiser for Mmps<M> {
    fn takes(&self) -> ConditionSpec {
        self.model.takes()
    }

    fn denoise(&self, query: &Query) -> Result<Tensor> {
        let condition = query.condition.without_observed();
        let asked = query.under(&condition);
        let m = self.model.denoise(&asked)?;
        let r = self.observation.residual(query, &m)?;
        let spread = self.covariance.at(&self.model, self.d, asked, &m)?;
        let operator = self.observation.operator();
        let shift = self.observation.sigma_o().powi(2);
        let moved = self.iterations.solve(&r, shift, |p| {
            let moved = spread.times(&operator.transpose(p)?)?;
            let taken = operator.apply(&moved)?;
            Ok((moved, taken))
        })?;
        match moved {
            Some(moved) => m + moved,
            None => Ok(m),
        }
    }
}
