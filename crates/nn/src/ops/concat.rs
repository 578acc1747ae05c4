//! Concatenation of two images along their channels.

use candle_core::{CpuStorage, CustomOp2, D, Layout, Result, Shape, Tensor, bail};

use crate::host::{output, slice, tensor, values};
use crate::kernels::cpu::elementwise::{columns, interleave};
use crate::kernels::is_fused;
use crate::tape::apply2;

/// Joins `a [B, H, W, C1]` and `b [B, H, W, C2]` to `[B, H, W, C1 + C2]`.
///
/// # Errors
///
/// Different sizes of batch or image.
pub fn concat(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (a_dims, b_dims) = (a.dims4()?, b.dims4()?);
    if (a_dims.0, a_dims.1, a_dims.2) != (b_dims.0, b_dims.1, b_dims.2) {
        bail!(
            "a concatenation needs equal batch and image sizes, got {:?} and {:?}",
            a.shape(),
            b.shape()
        );
    }
    if is_fused(a) && is_fused(b) {
        return apply2(&a.contiguous()?, &b.contiguous()?, Concat);
    }
    Tensor::cat(&[a, b], D::Minus1)
}

struct Concat;

impl CustomOp2 for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn cpu_fwd(
        &self,
        a: &CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let ((n, h, w, c_a), c_b) = (a_layout.shape().dims4()?, b_layout.dims()[3]);
        let out = interleave((slice(a, a_layout)?, c_a), (slice(b, b_layout)?, c_b));
        Ok(output(out, (n, h, w, c_a + c_b)))
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let (grad, c_a) = (values(&grad)?, a.dim(D::Minus1)?);
        let c = c_a + b.dim(D::Minus1)?;
        let (d_a, d_b) = (columns(&grad, c, 0..c_a), columns(&grad, c, c_a..c));
        Ok((Some(tensor(d_a, a.shape())?), Some(tensor(d_b, b.shape())?)))
    }
}
