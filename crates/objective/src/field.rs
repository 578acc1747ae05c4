//! The normalised Poisson field of a batch of data, the target of original PFGM.

use candle_core::{D, Tensor};
use pfgmpp_kernel::{Dimension, ExactPosterior, PosteriorError, beside};
use pfgmpp_transfer::{MAX_GAMMA, ParameterError};

/// A field that cannot be made, or points where it cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum FieldError {
    /// gamma or a scale of the perturbation is outside its range.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// The data, `x` or `z` do not fit.
    #[error(transparent)]
    Posterior(#[from] PosteriorError),
    /// The batch and its generators differ in length.
    #[error("rngs must have one entry for each of the {batch} samples, got {got}")]
    BatchSize {
        /// Samples in the batch.
        batch: usize,
        /// Generators found.
        got: usize,
    },
    /// The tensor backend failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

impl From<FieldError> for candle_core::Error {
    fn from(error: FieldError) -> Self {
        match error {
            FieldError::Tensor(error) => error,
            FieldError::Posterior(error) => error.into(),
            other => Self::wrap(other),
        }
    }
}

/// The normalised field of a large batch of data in N + 1 dimensions.
///
/// The data are charges on the plane z = 0:
///
/// ```text
/// Ê(x̃) = Σ c_i (x̃ - x̃_i),   c_i ∝ |x̃ - x̃_i|^-(N+1),   Σ c_i = 1,   x̃ = (x, z),  x̃_i = (y_i, 0)
/// v(x̃) = -sqrt(N) Ê / (|Ê| + gamma)
/// ```
///
/// The weights are those of the PFGM++ kernel at D = 1 and r = sigma = z, so that the sum is a posterior
/// mean, `Ê = (x - E[y|x], z)`, and costs what [`ExactPosterior`] costs: two matrix products, and no
/// `[B, data, N + 1]` tensor. Source: Xu et al. 2022, arXiv:2209.11178, section 3.1.
#[derive(Clone, Debug)]
pub struct PfgmField {
    posterior: ExactPosterior,
    gamma: f64,
}

impl PfgmField {
    /// The field of `data` `[points, ...]`, `f32` or `f64`; `gamma >= 0` in units of the data.
    ///
    /// # Errors
    ///
    /// [`FieldError`] for data that [`ExactPosterior::new`] refuses and a gamma outside 0 to [`MAX_GAMMA`].
    pub fn new(data: &Tensor, gamma: f64) -> Result<Self, FieldError> {
        check_gamma(gamma)?;
        let posterior = ExactPosterior::new(data, Dimension::Finite(1.0))?;
        Ok(Self { posterior, gamma })
    }

    /// The target `v` at `x` `[B, ...]` and `z` `[B]`, `z >= 0`, in units of the data.
    ///
    /// Returns `[B, N + 1]` in the dtype of `x`, the z component last. It points at the data.
    ///
    /// # Errors
    ///
    /// Those of [`ExactPosterior::mean`], where `sigma` is `z`.
    pub fn target(&self, x: &Tensor, z: &[f64]) -> Result<Tensor, FieldError> {
        let mean = self.posterior.mean(x, z)?;
        let z = beside(z.to_vec(), (z.len(), 1), x)?;
        let field = Tensor::cat(&[(x - mean)?.flatten_from(1)?, z], D::Minus1)?;
        let norm = field.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
        let scale = ((norm + self.gamma)?.recip()? * -(self.posterior.n() as f64).sqrt())?;
        Ok(field.broadcast_mul(&scale)?)
    }
}

pub(crate) fn check_gamma(gamma: f64) -> Result<(), ParameterError> {
    ParameterError::within("gamma", gamma, 0.0, MAX_GAMMA)
}
