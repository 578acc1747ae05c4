//! What is observed of data.

use std::sync::Arc;

use candle_core::{Result, Tensor};
use pfgmpp_transfer::ParameterError;

/// A linear operator A from data to what is observed of them: `y_o = A y + n`.
///
/// Samples of a batch do not touch each other. [`Self::transpose`] has to be adjoint to [`Self::apply`],
/// `(A x)·u = x·(A^T u)` for all x and u; nothing else is asked of A.
pub trait Operator: Send + Sync {
    /// The shape of what is observed of one datum of `shape`.
    ///
    /// # Errors
    ///
    /// A shape that A is not for.
    fn observed_shape(&self, shape: &[usize]) -> std::result::Result<Vec<usize>, ParameterError>;

    /// `A y` of data `[B, shape...]`: `[B, observed shape...]`, of the same dtype and on the same device.
    ///
    /// # Errors
    ///
    /// Data of another shape, and failures of the tensor backend.
    fn apply(&self, y: &Tensor) -> Result<Tensor>;

    /// `A^T u` of `u` `[B, observed shape...]`: `[B, shape...]`, of the same dtype and on the same device.
    ///
    /// # Errors
    ///
    /// A `u` of another shape, and failures of the tensor backend.
    fn transpose(&self, u: &Tensor) -> Result<Tensor>;
}

impl<T: Operator + ?Sized> Operator for Arc<T> {
    fn observed_shape(&self, shape: &[usize]) -> std::result::Result<Vec<usize>, ParameterError> {
        (**self).observed_shape(shape)
    }

    fn apply(&self, y: &Tensor) -> Result<Tensor> {
        (**self).apply(y)
    }

    fn transpose(&self, u: &Tensor) -> Result<Tensor> {
        (**self).transpose(u)
    }
}
