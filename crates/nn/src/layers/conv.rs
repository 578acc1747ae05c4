//! A convolution.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::scheme::Initial;
use crate::memory::Trace;
use crate::ops::{self, Conv2dConfig};

/// Weights of a convolution.
pub(crate) struct Conv2d {
    weight: Tensor,
    bias: Tensor,
}

impl Conv2d {
    /// A convolution by a square `kernel`.
    pub(crate) fn new(
        c_in: usize,
        c_out: usize,
        kernel: usize,
        init: Initial,
        vb: &VarBuilder,
    ) -> Result<Self> {
        let weight = vb.get_with_hints((c_out, c_in, kernel, kernel), "weight", init.weight)?;
        let bias = vb.get_with_hints(c_out, "bias", init.bias)?;
        Ok(Self { weight, bias })
    }

    /// `[B, H, W, c_in]` to `[B, H, W, c_out]`; the kernel is odd.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        ops::conv2d(x, &self.weight, Some(&self.bias))
    }

    /// `[B, H, W, c_in]` to `[B, H', W', c_out]`, the kernel moving as `config` says.
    pub(crate) fn forward_with(&self, x: &Tensor, config: Conv2dConfig) -> Result<Tensor> {
        ops::conv2d_with(x, &self.weight, Some(&self.bias), config)
    }

    /// As [`Self::forward`], with `bias` (`[c_out]` or `[B, c_out]`) in place of the layer's own.
    pub(crate) fn forward_with_bias(&self, x: &Tensor, bias: &Tensor) -> Result<Tensor> {
        ops::conv2d(x, &self.weight, Some(bias))
    }

    /// Counts what [`Self::forward`] gives at `pixels` pixels of output.
    pub(crate) fn trace(&self, trace: &mut Trace, pixels: usize) {
        if let [c_out, c_in, kernel, _] = *self.weight.dims() {
            trace.convolution([c_out, c_in, kernel], pixels);
        }
    }

    /// Channels that go out.
    pub(crate) fn c_out(&self) -> usize {
        self.bias.elem_count()
    }

    /// The layer's own bias, `[c_out]`.
    pub(crate) fn bias(&self) -> &Tensor {
        &self.bias
    }
}
