//! The self-attention of diffusers' `UNet2DModel`.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::{UNet2DConfig, linear};
use crate::layers::{GroupNorm, Linear};
use crate::memory::Trace;
use crate::ops::{self, Activation};

/// Self-attention over the pixels of an image, and the image added.
///
/// ```text
/// out = (to_out(attention(to_q(n), to_k(n), to_v(n))) + x) / scale_factor,   n = group_norm(x)
/// ```
pub(super) struct Attention {
    heads: usize,
    /// What the sum is divided by.
    scale_factor: f64,
    norm: Option<GroupNorm>,
    /// Query, key and value.
    maps: [Linear; 3],
    out: Linear,
}

impl Attention {
    /// Attention among `c` channels behind a normalisation in `groups` groups, or behind none.
    pub(super) fn new(
        config: &UNet2DConfig,
        c: usize,
        groups: Option<usize>,
        scale_factor: f64,
        vb: &VarBuilder,
    ) -> Result<Self> {
        let (heads, inner) = config.heads(c);
        // Models saved by early versions of diffusers have the second names.
        let map = |names: [&str; 2], n_in, n_out| {
            let [name, old] = names;
            let known = vb.pp(name).contains_tensor("weight");
            linear(n_in, n_out, &vb.pp(if known { name } else { old }))
        };
        let norm =
            |groups| GroupNorm::with_groups(c, groups, config.norm_eps, &vb.pp("group_norm"));
        Ok(Self {
            heads,
            scale_factor,
            norm: groups.map(norm).transpose()?,
            maps: [
                map(["to_q", "query"], c, inner)?,
                map(["to_k", "key"], c, inner)?,
                map(["to_v", "value"], c, inner)?,
            ],
            out: map(["to_out.0", "proj_attn"], inner, c)?,
        })
    }

    /// Counts what [`Self::forward`] gives of an image of `channels` channels.
    pub(super) fn trace(&self, trace: &mut Trace, channels: usize, pixels: usize) {
        let [q, ..] = &self.maps;
        if self.norm.is_some() {
            trace.output(channels * pixels);
        }
        trace.output(3 * q.n_out() * pixels);
        trace.attention(self.heads, q.n_out(), pixels);
        trace.output(channels * pixels);
        trace.output(channels * pixels);
    }

    /// Maps `x [B, H, W, C]`.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let normed = match &self.norm {
            Some(norm) => norm.forward(x, Activation::None)?,
            None => x.clone(),
        };
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
        ops::add_scaled(&out, x, self.scale_factor.recip())
    }
}

/// Maps every pixel of `x [B, H, W, c_in]` by `weight [c_out, c_in]`.
fn pointwise(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let (c_out, c_in) = weight.dims2()?;
    ops::conv2d(x, &weight.reshape((c_out, c_in, 1, 1))?, Some(bias))
}
