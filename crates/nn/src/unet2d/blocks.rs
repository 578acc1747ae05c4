//! The blocks of diffusers' `UNet2DModel`.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::UNet2DConfig;
use crate::layers::{Conv2d, Dropout, GroupNorm, Linear, Scheme};
use crate::memory::Trace;
use crate::network::Mode;
use crate::ops::{self, Activation};

/// A convolution of this network.
pub(super) fn conv(c_in: usize, c_out: usize, kernel: usize, vb: &VarBuilder) -> Result<Conv2d> {
    let init = Scheme::Adm.layer(c_in, c_out, kernel);
    Conv2d::new(c_in, c_out, kernel, init, vb)
}

/// A linear map of this network.
pub(super) fn linear(n_in: usize, n_out: usize, vb: &VarBuilder) -> Result<Linear> {
    Linear::new(n_in, n_out, Scheme::Adm.layer(n_in, n_out, 1), vb)
}

/// A normalisation of this network.
pub(super) fn norm(config: &UNet2DConfig, c: usize, vb: &VarBuilder) -> Result<GroupNorm> {
    GroupNorm::with_groups(c, config.norm_num_groups, config.norm_eps, vb)
}

/// A residual block, with self-attention behind it or without.
///
/// ```text
/// h = conv1(silu(norm1(x))) + time_emb_proj(e)
/// out = conv2(dropout(silu(norm2(h)))) + conv_shortcut(x)
/// ```
pub(super) struct Layer {
    norm1: GroupNorm,
    conv1: Conv2d,
    time_emb_proj: Linear,
    norm2: GroupNorm,
    dropout: Dropout,
    conv2: Conv2d,
    conv_shortcut: Option<Conv2d>,
    attention: Option<Attention>,
}

impl Layer {
    /// From `c_in` to `c_out` channels; `vb` names the block's `resnets` and `attentions` with index `i`.
    pub(super) fn new(
        config: &UNet2DConfig,
        (c_in, c_out): (usize, usize),
        i: usize,
        attends: bool,
        vb: &VarBuilder,
    ) -> Result<Self> {
        let resnet = vb.pp("resnets").pp(i);
        let attention = || Attention::new(config, c_out, &vb.pp("attentions").pp(i));
        Ok(Self {
            norm1: norm(config, c_in, &resnet.pp("norm1"))?,
            conv1: conv(c_in, c_out, 3, &resnet.pp("conv1"))?,
            time_emb_proj: linear(config.embedding(), c_out, &resnet.pp("time_emb_proj"))?,
            norm2: norm(config, c_out, &resnet.pp("norm2"))?,
            dropout: Dropout::new(config.dropout, resnet.prefix()),
            conv2: conv(c_out, c_out, 3, &resnet.pp("conv2"))?,
            conv_shortcut: (c_in != c_out)
                .then(|| conv(c_in, c_out, 1, &resnet.pp("conv_shortcut")))
                .transpose()?,
            attention: attends.then(attention).transpose()?,
        })
    }

    /// Counts what [`Self::forward`] gives at `pixels` pixels.
    pub(super) fn trace(&self, trace: &mut Trace, pixels: usize) {
        let (c_in, values) = (self.norm1.channels(), self.c_out() * pixels);
        trace.scope(values, |trace| {
            trace.output(c_in * pixels);
            self.conv1.trace(trace, pixels);
            trace.output(values);
            self.dropout.trace(trace, values);
            self.conv2.trace(trace, pixels);
            if let Some(conv) = &self.conv_shortcut {
                conv.trace(trace, pixels);
            }
            trace.output(values);
            if let Some(attention) = &self.attention {
                attention.trace(trace, pixels);
            }
        });
    }

    /// Channels that go out.
    pub(super) fn c_out(&self) -> usize {
        self.conv2.c_out()
    }

    /// Maps `x [B, H, W, c_in]` under the activated embedding `e [B, embedding]`.
    pub(super) fn forward(&self, x: &Tensor, e: &Tensor, mode: Mode) -> Result<Tensor> {
        let h = self.norm1.forward(x, Activation::Silu)?;
        let bias = self.time_emb_proj.forward_plus(e, self.conv1.bias())?;
        let h = self.conv1.forward_with_bias(&h, &bias)?;
        let h = self.norm2.forward(&h, Activation::Silu)?;
        let h = self.conv2.forward(&self.dropout.forward(&h, mode)?)?;
        let out = match &self.conv_shortcut {
            Some(conv) => ops::add_scaled(&h, &conv.forward(x)?, 1.0)?,
            None => ops::add_scaled(&h, x, 1.0)?,
        };
        match &self.attention {
            Some(attention) => attention.forward(&out),
            None => Ok(out),
        }
    }
}

/// Self-attention over the pixels of an image, and the image added.
struct Attention {
    heads: usize,
    norm: GroupNorm,
    /// Query, key and value.
    maps: [Linear; 3],
    out: Linear,
}

impl Attention {
    fn new(config: &UNet2DConfig, c: usize, vb: &VarBuilder) -> Result<Self> {
        // Models saved by early versions of diffusers have the second names.
        let map = |names: [&str; 2]| {
            let [name, old] = names;
            let known = vb.pp(name).contains_tensor("weight");
            linear(c, c, &vb.pp(if known { name } else { old }))
        };
        Ok(Self {
            heads: config.heads(c),
            norm: norm(config, c, &vb.pp("group_norm"))?,
            maps: [
                map(["to_q", "query"])?,
                map(["to_k", "key"])?,
                map(["to_v", "value"])?,
            ],
            out: map(["to_out.0", "proj_attn"])?,
        })
    }

    /// Counts what [`Self::forward`] gives.
    fn trace(&self, trace: &mut Trace, pixels: usize) {
        let channels = self.norm.channels();
        trace.output(channels * pixels);
        trace.output(3 * channels * pixels);
        trace.attention(self.heads, channels, pixels);
        trace.output(channels * pixels);
        trace.output(channels * pixels);
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let normed = self.norm.forward(x, Activation::None)?;
        // The order that the attention reads: query, key and value of a channel side by side.
        let rows = |get: fn(&Linear) -> Result<Tensor>| -> Result<Tensor> {
            let [q, k, v] = &self.maps;
            Tensor::stack(&[get(q)?, get(k)?, get(v)?], 1)?.flatten(0, 1)
        };
        let qkv = pointwise(
            &normed,
            &rows(|map| Ok(map.weight().clone()))?,
            &rows(|map| map.bias().cloned())?,
        )?;
        let attended = ops::attention(&qkv, self.heads)?;
        let out = pointwise(&attended, self.out.weight(), self.out.bias()?)?;
        ops::add_scaled(&out, x, 1.0)
    }
}

/// Maps every pixel of `x [B, H, W, c_in]` by `weight [c_out, c_in]`.
fn pointwise(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let (c_out, c_in) = weight.dims2()?;
    ops::conv2d(x, &weight.reshape((c_out, c_in, 1, 1))?, Some(bias))
}
