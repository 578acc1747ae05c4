//! Weights and biases of a normalisation, changed for each sample by its embedding.
//!
//! ```text
//! out = [weight (1 + scale), bias (1 + scale) + shift]        m = [scale, shift]
//! ```
//!
//! A normalisation with these is `shift + (1 + scale) norm(x)`.

use candle_core::{CpuStorage, CustomOp3, D, Layout, Result, Shape, Tensor, bail};

use crate::host::{output, slice, tensor, values};
use crate::kernels::is_fused;
use crate::tape::apply3;

/// Modulates `weight` and `bias` `[C]` by `m [B, 2 C]`, scales before shifts, to rows `[B, 2 C]`, weights
/// before biases.
///
/// # Errors
///
/// Shapes that do not fit.
pub fn modulate(weight: &Tensor, bias: &Tensor, m: &Tensor) -> Result<Tensor> {
    let (_, width) = m.dims2()?;
    let c = width / 2;
    if weight.dims() != [c] || bias.dims() != [c] || width != 2 * c {
        bail!(
            "a modulation of [C] needs m [B, 2 C], got {:?} and {:?} with m {:?}",
            weight.shape(),
            bias.shape(),
            m.shape()
        );
    }
    if is_fused(m) {
        return apply3(
            &weight.contiguous()?,
            &bias.contiguous()?,
            &m.contiguous()?,
            Modulate,
        );
    }
    let (scale, shift) = ((m.narrow(1, 0, c)? + 1.0)?, m.narrow(1, c, c)?);
    let weights = scale.broadcast_mul(weight)?;
    let biases = (scale.broadcast_mul(bias)? + shift)?;
    Tensor::cat(&[weights, biases], D::Minus1)
}

struct Modulate;

impl CustomOp3 for Modulate {
    fn name(&self) -> &'static str {
        "modulate"
    }

    fn cpu_fwd(
        &self,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
        m: &CpuStorage,
        m_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (weight, bias) = (slice(weight, weight_layout)?, slice(bias, bias_layout)?);
        let c = weight.len();
        let mut out = slice(m, m_layout)?.to_vec();
        for row in out.chunks_exact_mut(2 * c) {
            let (first, second) = row.split_at_mut(c);
            for i in 0..c {
                let scale = 1.0 + first[i];
                (first[i], second[i]) = (weight[i] * scale, bias[i] * scale + second[i]);
            }
        }
        Ok(output(out, m_layout.shape().clone()))
    }

    fn bwd(
        &self,
        weight: &Tensor,
        bias: &Tensor,
        m: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let (w, b, m_values) = (values(weight)?, values(bias)?, values(m)?);
        let c = w.len();
        let (mut d_weight, mut d_bias) = (vec![0.0; c], vec![0.0; c]);
        // The shifts' gradient is that of the biases: it stands where it is.
        let mut dm = values(&grad)?.to_vec();
        for (grad, m) in dm.chunks_exact_mut(2 * c).zip(m_values.chunks_exact(2 * c)) {
            let (of_weight, of_bias) = grad.split_at_mut(c);
            for i in 0..c {
                d_weight[i] += of_weight[i] * (1.0 + m[i]);
                d_bias[i] += of_bias[i] * (1.0 + m[i]);
                of_weight[i] = of_weight[i] * w[i] + of_bias[i] * b[i];
            }
        }
        Ok((
            Some(tensor(d_weight, weight.shape())?),
            Some(tensor(d_bias, bias.shape())?),
            Some(tensor(dm, m.shape())?),
        ))
    }
}
