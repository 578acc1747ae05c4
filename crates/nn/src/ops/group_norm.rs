//! Group normalisation, with or without SiLU behind it.
//!
//! ```text
//! x_hat = (x - mean_g) / sqrt(var_g + eps)        z = x_hat weight + bias        out = z  or  z sigmoid(z)
//! ```

use candle_core::{CpuStorage, CustomOp3, DType, Layout, Result, Shape, Tensor, bail};

use super::host::{is_fused, output, slice, tensor, values};
use crate::kernels::group_norm::Norm;
use crate::tape::apply3;

/// What follows a normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    None,
    /// `z sigmoid(z)`.
    Silu,
}

/// Normalises `x [B, H, W, C]` over the pixels and channels of each of `groups` groups of a sample.
///
/// `weight` and `bias` have shape `[C]`.
///
/// # Errors
///
/// Shapes that do not fit, and a number of groups that does not divide `C`.
pub fn group_norm(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    groups: usize,
    eps: f64,
    activation: Activation,
) -> Result<Tensor> {
    let c = x.dims4()?.3;
    if groups == 0 || c % groups != 0 || weight.dims() != [c] || bias.dims() != [c] {
        bail!(
            "group norm of {:?} needs weight and bias [{c}] and groups that divide {c}, got {:?}, {:?} and {groups}",
            x.shape(),
            weight.shape(),
            bias.shape()
        );
    }
    let activate = activation == Activation::Silu;
    if is_fused(x) {
        let op = GroupNorm {
            groups,
            eps,
            activate,
        };
        return apply3(
            &x.contiguous()?,
            &weight.contiguous()?,
            &bias.contiguous()?,
            op,
        );
    }
    let z = composed(x, weight, bias, groups, eps)?;
    if activate { z.silu() } else { Ok(z) }
}

fn composed(x: &Tensor, weight: &Tensor, bias: &Tensor, groups: usize, eps: f64) -> Result<Tensor> {
    let (b, h, w, c) = x.dims4()?;
    // Half precision has too few digits for the statistics.
    let dtype = if x.dtype() == DType::F64 {
        DType::F64
    } else {
        DType::F32
    };
    let grouped = x.to_dtype(dtype)?.reshape((b, h * w, groups, c / groups))?;
    let centred = grouped.broadcast_sub(&grouped.mean_keepdim((1, 3))?)?;
    let variance = centred.sqr()?.mean_keepdim((1, 3))?;
    let x_hat = centred.broadcast_div(&(variance + eps)?.sqrt()?)?;
    let x_hat = x_hat.reshape((b, h, w, c))?.to_dtype(x.dtype())?;
    x_hat.broadcast_mul(weight)?.broadcast_add(bias)
}

struct GroupNorm {
    groups: usize,
    eps: f64,
    activate: bool,
}

impl GroupNorm {
    fn norm<'a>(&self, weight: &'a [f32], bias: &'a [f32]) -> Norm<'a> {
        Norm {
            weight,
            bias,
            groups: self.groups,
            eps: self.eps as f32,
            activate: self.activate,
        }
    }
}

impl CustomOp3 for GroupNorm {
    fn name(&self) -> &'static str {
        "group_norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let norm = self.norm(slice(weight, weight_layout)?, slice(bias, bias_layout)?);
        let out = norm.forward(slice(x, x_layout)?, x_layout.dims()[0]);
        Ok(output(out, x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let (weight_values, bias_values) = (values(weight)?, values(bias)?);
        let norm = self.norm(&weight_values, &bias_values);
        let gradients = norm.backward(&values(x)?, &values(&grad)?, x.dim(0)?);
        Ok((
            Some(tensor(gradients.x, x.shape())?),
            Some(tensor(gradients.weight, weight.shape())?),
            Some(tensor(gradients.bias, bias.shape())?),
        ))
    }
}
