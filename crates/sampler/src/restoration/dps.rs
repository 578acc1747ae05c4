//! Diffusion posterior sampling: down the gradient of the misfit.

use candle_core::{Result, Tensor};
use pfgmpp_kernel::{ConditionSpec, Denoiser, Dimension, Query, column, squared_norms};
use pfgmpp_transfer::ParameterError;

use super::{Covariance, Observation};

/// A denoiser told of an observation by how far its estimate is off it.
///
/// ```text
/// E[y | x, y_o] ≈ m + zeta S A^T (y_o - A m) / |y_o - A m|,   m = E[y | x]
///               = m - zeta sigma² grad_x |y_o - A m(x)|   at D = ∞
/// ```
///
/// with S by [`Covariance`]: `zeta/|y_o - A m|` stands for `1/sigma_o²`, so that `sigma_o` itself is not used. The published
/// method adds a gradient at each of a fixed number of steps; here it is part of the slope, whatever the solver and its steps.
/// Takes one evaluation of the model and one with its derivative. (Chung et al. 2022, arXiv:2209.14687, at D = ∞.)
#[derive(Clone, Debug)]
pub struct Dps<M> {
    model: M,
    d: Dimension,
    observation: Observation,
    covariance: Covariance,
    zeta: f64,
}

impl<M: Denoiser> Dps<M> {
    /// Tells `model`, of data perturbed at `d`, of an `observation`, with the step size `zeta`, in units of one over the
    /// data's.
    ///
    /// # Errors
    ///
    /// A `zeta` that is not positive.
    pub fn new(
        model: M,
        d: Dimension,
        observation: Observation,
        covariance: Covariance,
        zeta: f64,
    ) -> std::result::Result<Self, ParameterError> {
        ParameterError::positive("zeta", zeta)?;
        Ok(Self {
            model,
            d,
            observation,
            covariance,
            zeta,
        })
    }
}

impl<M: Denoiser> Denoiser for Dps<M> {
    fn takes(&self) -> ConditionSpec {
        self.model.takes()
    }

    fn denoise(&self, query: &Query) -> Result<Tensor> {
        let condition = query.condition.without_observed();
        let asked = query.under(&condition);
        let m = self.model.denoise(&asked)?;
        let r = self.observation.residual(query, &m)?;
        let norms = squared_norms(&r)?.into_iter().map(f64::sqrt);
        let weights = norms.map(|norm| if norm > 0.0 { self.zeta / norm } else { 0.0 });
        let weights: Vec<f64> = weights.collect();
        let back = self.observation.operator().transpose(&r)?;
        let spread = self.covariance.at(&self.model, self.d, asked, &m)?;
        let moved = spread.times(&back)?;
        m + moved.broadcast_mul(&column(&weights, &moved)?)?
    }
}
