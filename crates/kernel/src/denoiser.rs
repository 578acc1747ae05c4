//! The one interface between a model and whatever samples or scores it.

use candle_core::{Result, Tensor, bail};

use crate::{ConditionSpec, Query};

/// An estimate of the clean data behind perturbed data: `E[y | x]` at noise level `sigma`.
///
/// The exact posterior of a data set and a preconditioned network both implement it; samplers and
/// scores see nothing else of a model.
pub trait Denoiser: Send + Sync {
    /// The conditions that the model takes; any other is refused by it. None, unless an implementation says more.
    fn takes(&self) -> ConditionSpec {
        ConditionSpec::NONE
    }

    /// Estimates `E[y | x]`.
    ///
    /// Returns the shape and dtype of `query.x`, detached: no gradient flows back through it, neither to x nor to
    /// the model's weights. For the derivative with respect to x there is [`Self::vjp`].
    ///
    /// # Errors
    ///
    /// Shapes and conditions that do not fit the model, and failures of the tensor backend.
    fn denoise(&self, query: &Query) -> Result<Tensor>;

    /// Estimates `E[y | x]` and takes `v`, shaped as x, back through it: to x and to sigma.
    ///
    /// ```text
    /// x: v^T dE[y|x]/dx     sigma: v^T dE[y|x]/dsigma     of each sample
    /// ```
    ///
    /// Exact, whatever the estimate depends on x through: scalings, noise levels, norms. Condition and guess are
    /// held fixed. Samples do not touch each other, so that one call serves a batch.
    ///
    /// # Errors
    ///
    /// Those of [`Self::denoise`], and a `v` of another shape than x. A denoiser that does not implement this
    /// method has no derivative, and says so.
    fn pullback(&self, query: &Query, v: &Tensor) -> Result<Pullback> {
        let _ = (query, v);
        bail!(
            "this denoiser gives no derivative: its type implements Denoiser::denoise, but not Denoiser::pullback"
        )
    }

    /// `E[y | x]` and the vector-Jacobian product `v^T J`, `J = dE[y|x]/dx`, of [`Self::pullback`].
    ///
    /// Both have the shape and dtype of `query.x` and are detached.
    ///
    /// # Errors
    ///
    /// Those of [`Self::pullback`].
    fn vjp(&self, query: &Query, v: &Tensor) -> Result<(Tensor, Tensor)> {
        let Pullback { denoised, x, .. } = self.pullback(query, v)?;
        Ok((denoised, x))
    }
}

/// An estimate with a covector `v` taken back to what it is an estimate from.
#[derive(Clone, Debug)]
pub struct Pullback {
    /// What [`Denoiser::denoise`] returns.
    pub denoised: Tensor,
    /// `v^T dE[y|x]/dx`, of the shape and dtype of x, detached.
    pub x: Tensor,
    /// `v^T dE[y|x]/dsigma` of each sample: what a wrapper needs that sets the level by x.
    pub sigma: Vec<f64>,
}

impl<T: Denoiser + ?Sized> Denoiser for &T {
    fn takes(&self) -> ConditionSpec {
        (**self).takes()
    }

    fn denoise(&self, query: &Query) -> Result<Tensor> {
        (**self).denoise(query)
    }

    fn pullback(&self, query: &Query, v: &Tensor) -> Result<Pullback> {
        (**self).pullback(query, v)
    }

    fn vjp(&self, query: &Query, v: &Tensor) -> Result<(Tensor, Tensor)> {
        (**self).vjp(query, v)
    }
}

impl<T: Denoiser + ?Sized> Denoiser for Box<T> {
    fn takes(&self) -> ConditionSpec {
        (**self).takes()
    }

    fn denoise(&self, query: &Query) -> Result<Tensor> {
        (**self).denoise(query)
    }

    fn pullback(&self, query: &Query, v: &Tensor) -> Result<Pullback> {
        (**self).pullback(query, v)
    }

    fn vjp(&self, query: &Query, v: &Tensor) -> Result<(Tensor, Tensor)> {
        (**self).vjp(query, v)
    }
}
