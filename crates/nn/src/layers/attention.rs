//! The self-attention that ends a block.

use candle_core::{Result, Tensor, bail};
use candle_nn::VarBuilder;

use super::block::Style;
use super::{Conv2d, GroupNorm};
use crate::memory::Trace;
use crate::ops::{self, Activation};

/// Self-attention over the pixels of an image.
pub(crate) struct SelfAttention {
    heads: usize,
    norm: GroupNorm,
    qkv: Conv2d,
    proj: Conv2d,
}

impl SelfAttention {
    /// Attention with `heads` heads among `channels` channels, a multiple of them.
    pub(crate) fn new(
        channels: usize,
        heads: usize,
        style: &Style,
        vb: &VarBuilder,
    ) -> Result<Self> {
        if heads == 0 || !channels.is_multiple_of(heads) {
            bail!(
                "{} has {channels} channels, which do not divide into {heads} heads",
                vb.prefix()
            );
        }
        let (c, scheme) = (channels, style.scheme);
        Ok(Self {
            heads,
            norm: GroupNorm::new(c, style.eps, &vb.pp("norm2"))?,
            qkv: Conv2d::new(c, 3 * c, 1, scheme.attention(c, 3 * c), &vb.pp("qkv"))?,
            proj: Conv2d::new(c, c, 1, scheme.last(c, c, 1), &vb.pp("proj"))?,
        })
    }

    /// Counts what [`Self::forward`] gives.
    pub(crate) fn trace(&self, trace: &mut Trace, pixels: usize) {
        let channels = self.proj.c_out();
        trace.scope(channels * pixels, |trace| {
            trace.output(channels * pixels);
            self.qkv.trace(trace, pixels);
            trace.attention(self.heads, channels, pixels);
            self.proj.trace(trace, pixels);
        });
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let qkv = self.qkv.forward(&self.norm.forward(x, Activation::None)?)?;
        self.proj.forward(&ops::attention(&qkv, self.heads)?)
    }
}
