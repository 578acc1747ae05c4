//! Where a batch stands between two steps.

use candle_core::{Result, Tensor};

/// The state of a batch and the last estimate of the data behind it.
pub(crate) struct State {
    /// The samples, shape `[B, ...]`.
    pub(crate) x: Tensor,
    /// The last `E[y | x]`, shape `[B, ...]`: the guess of the next evaluation.
    pub(crate) denoised: Option<Tensor>,
}

impl State {
    /// A batch before its first evaluation.
    pub(crate) fn new(x: Tensor) -> Self {
        Self { x, denoised: None }
    }

    /// Samples in the batch.
    pub(crate) fn batch(&self) -> Result<usize> {
        self.x.dim(0)
    }
}

/// One number a sample as `[B, 1, ...]`, in the dtype and rank of `like` `[B, ...]`.
pub(crate) fn column(values: &[f64], like: &Tensor) -> Result<Tensor> {
    let mut shape = vec![1; like.rank()];
    shape[0] = values.len();
    Tensor::from_slice(values, shape, like.device())?.to_dtype(like.dtype())
}
