//! How observations come about.

use std::sync::Arc;

use candle_core::{Result, Tensor, bail};
use pfgmpp_kernel::{Query, SampleRng, standard_normal};
use pfgmpp_transfer::ParameterError;

use super::Operator;

/// An operator and the noise of what it gives.
///
/// ```text
/// y_o = A y + n,   n ~ N(0, sigma_o² I)
/// ```
#[derive(Clone)]
pub struct Observation {
    operator: Arc<dyn Operator>,
    sigma_o: f64,
}

impl Observation {
    /// Observations by `operator` with noise of standard deviation `sigma_o`, in units of the data.
    ///
    /// # Errors
    ///
    /// A `sigma_o` outside 0.001 to 1000: without noise `Sigma_o + A S A^T` is singular where the model is certain.
    pub fn new(
        operator: Arc<dyn Operator>,
        sigma_o: f64,
    ) -> std::result::Result<Self, ParameterError> {
        ParameterError::within("sigma_o", sigma_o, 1e-3, 1e3)?;
        Ok(Self { operator, sigma_o })
    }

    /// A.
    #[must_use]
    pub fn operator(&self) -> &dyn Operator {
        &*self.operator
    }

    /// The standard deviation of the noise, in units of the data.
    #[must_use]
    pub fn sigma_o(&self) -> f64 {
        self.sigma_o
    }

    /// Observes data `y` `[B, ...]`: `A y + n`, the noise of each from its own stream.
    ///
    /// # Errors
    ///
    /// Data that A is not for, and another number of streams than of data.
    pub fn observe(&self, y: &Tensor, rngs: &mut [SampleRng]) -> Result<Tensor> {
        let seen = self.operator.apply(y)?;
        if rngs.len() != seen.dim(0)? {
            bail!(
                "rngs must have one stream for each of the {} data, got {}",
                seen.dim(0)?,
                rngs.len()
            );
        }
        let noise = standard_normal(&seen.dims()[1..], rngs, seen.dtype(), seen.device());
        seen + (noise.map_err(candle_core::Error::wrap)? * self.sigma_o)?
    }

    /// What was observed of the samples of a query, in the dtype and on the device of x.
    pub(super) fn of(&self, query: &Query) -> Result<Tensor> {
        let Some(observed) = query.condition.observed() else {
            bail!("the condition holds no observation: Condition::with_observed");
        };
        let mut want = vec![query.x.dim(0)?];
        want.extend(
            self.operator
                .observed_shape(&query.x.dims()[1..])
                .map_err(candle_core::Error::wrap)?,
        );
        if observed.dims() != want {
            bail!(
                "the observation must have shape {want:?}, got {:?}",
                observed.dims()
            );
        }
        observed
            .to_device(query.x.device())?
            .to_dtype(query.x.dtype())
    }

    /// `y_o - A m` of each sample.
    pub(super) fn residual(&self, query: &Query, m: &Tensor) -> Result<Tensor> {
        self.of(query)? - self.operator.apply(m)?
    }
}

impl std::fmt::Debug for Observation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observation")
            .field("sigma_o", &self.sigma_o)
            .finish_non_exhaustive()
    }
}
