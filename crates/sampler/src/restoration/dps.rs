//! Diffusion posterior sampling: down the gradient of the misfit.

use candle_core::{Result, Tensor};
use pfgmpp_kernel::{ConditionSpec, Denoiser, Dimension, Query, column, squared_norms};
use pfgmpp_transfer::ParameterError;

use super::{Covariance, Observation};

/// A denoiser told of an observation by how far its estimate is off it.
///
/// ```text
/// E[y | x, y_o] ≈ m - zeta c grad_x |y_o - A m(x)|  =  m + zeta c J^T A^T (y_o - A m) / |y_o - A m|
/// ```
///
/// with c by [`Covariance`]: `zeta/|y_o - A m|` stands for `1/sigma_o²`, so that `sigma_o` itself is not used. The published
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
        let c = self.covariance.scales(self.d, query.x, query.sigma, &m)?;
        let norms = squared_norms(&r)?.into_iter().map(f64::sqrt);
        let weights: Vec<f64> = norms
            .zip(&c)
            .map(|(norm, c)| if norm > 0.0 { self.zeta * c / norm } else { 0.0 })
            .collect();
        let back = self.observation.operator().transpose(&r)?;
        let (_, pulled) = self.model.vjp(&asked, &back)?;
        m + pulled.broadcast_mul(&column(&weights, &pulled)?)?
    }
}
