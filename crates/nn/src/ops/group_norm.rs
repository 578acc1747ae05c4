//! Group normalisation, with or without SiLU behind it.
//!
//! ```text
//! x_hat = (x - mean_g) / sqrt(var_g + eps)        z = x_hat weight + bias        out = z  or  z sigmoid(z)
//! ```

use candle_core::{CpuStorage, CustomOp2, CustomOp3, DType, Layout, Result, Shape, Tensor, bail};

use crate::host::{output, slice, tensor, values};
use crate::kernels::cpu::conv_weight::add_rows;
use crate::kernels::cpu::group_norm::{Norm, NormGradients};
use crate::kernels::is_fused;
use crate::tape::{apply2, apply3};

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

/// As [`group_norm`], with weight and bias of its own for each sample.
///
/// `rows` has shape `[B, 2 C]`: a sample's weights, then its biases.
///
/// # Errors
///
/// Shapes that do not fit, and a number of groups that does not divide `C`.
pub fn modulated_group_norm(
    x: &Tensor,
    rows: &Tensor,
    groups: usize,
    eps: f64,
    activation: Activation,
) -> Result<Tensor> {
    let (b, _, _, c) = x.dims4()?;
    if groups == 0 || c % groups != 0 || rows.dims() != [b, 2 * c] {
        bail!(
            "group norm of {:?} needs rows [{b}, {}] and groups that divide {c}, got {:?} and {groups}",
            x.shape(),
            2 * c,
            rows.shape()
        );
    }
    let activate = activation == Activation::Silu;
    if is_fused(x) {
        let op = GroupNorm {
            groups,
            eps,
            activate,
        };
        return apply2(&x.contiguous()?, &rows.contiguous()?, op);
    }
    let part = |start: usize| rows.narrow(1, start, c)?.reshape((b, 1, 1, c));
    let z = composed(x, &part(0)?, &part(c)?, groups, eps)?;
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
    /// Weights and biases that all samples share.
    fn shared<'a>(&self, weight: &'a [f32], bias: &'a [f32]) -> Norm<'a> {
        Norm {
            weight,
            bias,
            step: 0,
            channels: weight.len(),
            groups: self.groups,
            eps: self.eps as f32,
            activate: self.activate,
        }
    }

    /// A row of `channels` weights and as many biases for each sample.
    fn modulated<'a>(&self, rows: &'a [f32], channels: usize) -> Norm<'a> {
        let (weight, bias) = (rows, &rows[channels.min(rows.len())..]);
        Norm {
            step: 2 * channels,
            channels,
            ..self.shared(weight, bias)
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
        let norm = self.shared(slice(weight, weight_layout)?, slice(bias, bias_layout)?);
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
        let norm = self.shared(&weight_values, &bias_values);
        let NormGradients { x: dx, rows } = norm.backward(&values(x)?, &values(&grad)?, x.dim(0)?);
        let mut d_weight = vec![0.0; 2 * norm.channels];
        add_rows(&mut d_weight, &rows);
        let d_bias = d_weight.split_off(norm.channels);
        Ok((
            Some(tensor(dx, x.shape())?),
            Some(tensor(d_weight, weight.shape())?),
            Some(tensor(d_bias, bias.shape())?),
        ))
    }
}

impl CustomOp2 for GroupNorm {
    fn name(&self) -> &'static str {
        "modulated_group_norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        rows: &CpuStorage,
        rows_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (b, _, _, c) = x_layout.shape().dims4()?;
        let norm = self.modulated(slice(rows, rows_layout)?, c);
        Ok(output(
            norm.forward(slice(x, x_layout)?, b),
            x_layout.shape().clone(),
        ))
    }

    fn bwd(
        &self,
        x: &Tensor,
        rows: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let ((b, _, _, c), grad) = (x.dims4()?, grad.contiguous()?);
        let row_values = values(rows)?;
        let gradients = self
            .modulated(&row_values, c)
            .backward(&values(x)?, &values(&grad)?, b);
        Ok((
            Some(tensor(gradients.x, x.shape())?),
            Some(tensor(gradients.rows, rows.shape())?),
        ))
    }
}
