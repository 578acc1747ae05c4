//! Denoising without an approximation: two noisy looks at the data are one less noisy look.

use candle_core::{Result, Tensor};
use pfgmpp_kernel::{ConditionSpec, Denoiser, Dimension, Query, column};
use pfgmpp_transfer::ParameterError;

use super::{Covariance, Identity, Observation};

/// A denoiser told of an observation of all of the data, `y_o = y + n`.
///
/// The sample x is another such observation, and together they say as much as one of less noise does:
///
/// ```text
/// E[y | x, y_o; sigma] = E[y | x'; sigma'],   1/sigma'² = 1/c + 1/sigma_o²,   x' = sigma'² (x/c + y_o/sigma_o²)
/// ```
///
/// At D = ∞, where `c = sigma²`, this is exact for any model; at finite D c is [`Covariance::Effective`], the noise that the
/// sample shows, and what is left is its scatter of about `1/sqrt(2(N + D))`. Takes one evaluation at D = ∞, two at finite
/// D, the first for c, and no derivative.
#[derive(Clone, Debug)]
pub struct JointNoise<M> {
    model: M,
    d: Dimension,
    observation: Observation,
}

impl<M: Denoiser> JointNoise<M> {
    /// Tells `model`, of data perturbed at `d`, of all of the data with noise of standard deviation `sigma_o`.
    ///
    /// # Errors
    ///
    /// What [`Observation::new`] refuses.
    pub fn new(model: M, d: Dimension, sigma_o: f64) -> std::result::Result<Self, ParameterError> {
        let observation = Observation::new(std::sync::Arc::new(Identity), sigma_o)?;
        Ok(Self {
            model,
            d,
            observation,
        })
    }

    /// The variance of the noise of each sample.
    fn variances(&self, query: &Query) -> Result<Vec<f64>> {
        if self.d.is_infinite() {
            return Ok(query.sigma.iter().map(|s| s * s).collect());
        }
        let m = self.model.denoise(query)?;
        Covariance::Effective.scales(self.d, query, &m)
    }
}

impl<M: Denoiser> Denoiser for JointNoise<M> {
    fn takes(&self) -> ConditionSpec {
        self.model.takes()
    }

    fn denoise(&self, query: &Query) -> Result<Tensor> {
        let observed = self.observation.of(query)?;
        let condition = query.condition.without_observed();
        let asked = query.under(&condition);
        let variance = self.observation.sigma_o().powi(2);
        let c = self.variances(&asked)?;
        // The share of the observation; that of the sample is the rest.
        let share: Vec<f64> = c.iter().map(|c| c / (c + variance)).collect();
        let sigma: Vec<f64> = share
            .iter()
            .map(|share| (share * variance).sqrt())
            .collect();
        let x = (query.x + (observed - query.x)?.broadcast_mul(&column(&share, query.x)?)?)?;
        let joint = Query {
            x: &x,
            sigma: &sigma,
            ..asked
        };
        self.model.denoise(&joint)
    }
}
