//! Self-attention over the pixels of an image.
//!
//! ```text
//! out = softmax(Q Kᵀ / sqrt(c)) V        for each head, c = C / heads
//! ```

use candle_core::{CpuStorage, CustomOp1, D, Layout, Result, Shape, Tensor, bail};
use candle_nn::ops::softmax;

use crate::host::{output, slice, tensor, values};
use crate::kernels::cpu::attention::{AttentionShape, attend, attend_backward};
use crate::kernels::is_fused;
use crate::tape::apply1;

/// Attends over the pixels of `qkv [B, H, W, 3 C]`, giving `[B, H, W, C]`.
///
/// Channel `(head · c + i) · 3 + {0, 1, 2}` holds channel `i` of the query, key and value of `head`: the order of the
/// published networks.
///
/// # Errors
///
/// A number of channels that is not a multiple of `3 heads`.
pub fn attention(qkv: &Tensor, heads: usize) -> Result<Tensor> {
    let (b, h, w, channels) = qkv.dims4()?;
    if heads == 0 || channels % (3 * heads) != 0 {
        bail!(
            "attention with {heads} heads needs a multiple of {} channels, got {channels}",
            3 * heads
        );
    }
    let c = channels / (3 * heads);
    if is_fused(qkv) {
        return apply1(&qkv.contiguous()?, Attention { heads });
    }
    let by_head = qkv
        .reshape((b, h * w, heads, c, 3))?
        .permute((4, 0, 2, 1, 3))?;
    let part = |i: usize| by_head.get(i)?.contiguous();
    let logits = (part(0)?.matmul(&part(1)?.t()?)? / (c as f64).sqrt())?;
    let out = softmax(&logits, D::Minus1)?.matmul(&part(2)?)?;
    out.transpose(1, 2)?.reshape((b, h, w, heads * c))
}

struct Attention {
    heads: usize,
}

impl Attention {
    fn shape(&self, dims: &[usize]) -> AttentionShape {
        let (pixels, channels) = (dims[1] * dims[2], dims[3] / (3 * self.heads));
        AttentionShape {
            batch: dims[0],
            pixels,
            heads: self.heads,
            channels,
        }
    }
}

impl CustomOp1 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, qkv: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let dims = layout.dims();
        let out = attend(self.shape(dims), slice(qkv, layout)?);
        Ok(output(out, (dims[0], dims[1], dims[2], dims[3] / 3)))
    }

    fn bwd(&self, qkv: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let gradient = attend_backward(self.shape(qkv.dims()), &values(qkv)?, &values(&grad)?);
        Ok(Some(tensor(gradient, qkv.shape())?))
    }
}
