//! Convolution with zero padding, stride, groups and bias.
//!
//! ```text
//! out[b, y, x, o] = bias[o] + Σ_(i, u, v) in[b, s y + u - before, s x + v - before, i] weight[o, i, u, v]
//! ```
//!
//! A linear map is the same with a kernel of one and one pixel a sample.

mod sizes;

use candle_core::{CpuStorage, CustomOp3, D, Layout, Result, Shape, Tensor, Var, bail};

use super::{to_channels_first, to_channels_last};
use crate::host::{output, slice, tensor, values};
use crate::kernels::cpu::conv_weight::{add_rows, bias_gradient};
use crate::kernels::is_fused;
use crate::tape::apply3;
use sizes::Sizes;

/// How the kernel of a convolution moves over its images, the same in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2dConfig {
    /// Pixels from one place of the kernel to the next.
    pub stride: usize,
    /// Rows of zeros above the image and columns of zeros to its left, fewer than the kernel has.
    pub padding_before: usize,
    /// Rows of zeros below the image and columns of zeros to its right, fewer than the kernel has.
    pub padding_after: usize,
    /// Groups of consecutive channels, each of which is convolved alone, one after the other: on a processor
    /// the cost grows with their number, so that a group for each channel is slow.
    pub groups: usize,
}

impl Conv2dConfig {
    /// Stride 1 and one group, with the padding that keeps an image's size under a kernel of odd side.
    pub fn same(kernel: usize) -> Self {
        Self {
            stride: 1,
            padding_before: kernel / 2,
            padding_after: kernel / 2,
            groups: 1,
        }
    }
}

/// Convolves `x [B, H, W, c_in]` with `weight [c_out, c_in, k, k]`, `k` odd, to `[B, H, W, c_out]`.
///
/// `bias` has shape `[c_out]`, or `[B, c_out]` for one row per sample (a bias and an embedding added up).
///
/// # Errors
///
/// Shapes that do not fit, and an even kernel.
pub fn conv2d(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (_, _, kernel, _) = weight.dims4()?;
    if kernel % 2 == 0 {
        bail!(
            "a convolution that keeps the size needs an odd kernel, got {:?}",
            weight.shape()
        );
    }
    conv2d_with(x, weight, bias, Conv2dConfig::same(kernel))
}

/// Convolves `x [B, H, W, c_in]` with `weight [c_out, c_in / groups, k, k]` to `[B, H', W', c_out]`.
///
/// `H' = (H + padding_before + padding_after - k) / stride + 1`, the quotient rounded down, and `W'`
/// likewise. `bias` is that of [`conv2d`].
///
/// # Errors
///
/// Shapes that do not fit, a stride or groups of 0, padding as wide as the kernel, and images smaller than
/// the kernel.
pub fn conv2d_with(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    config: Conv2dConfig,
) -> Result<Tensor> {
    let sizes = Sizes::of_images(x.shape(), weight.shape(), config)?;
    check_bias(bias, x.dim(0)?, sizes.c_out)?;
    if is_fused(x) {
        return fused(x, weight, bias, config);
    }
    let (before, after) = (config.padding_before, config.padding_after);
    let mut image = to_channels_first(x)?;
    let mut padding = before;
    if config.stride > 1 || before != after {
        // Only what the kernel reaches: the backend's gradient fails where rows and columns leave different
        // remainders.
        let (rows, columns) = sizes.geometry.padded();
        image = image
            .pad_with_zeros(2, before, after)?
            .pad_with_zeros(3, before, after)?
            .narrow(2, 0, rows)?
            .narrow(3, 0, columns)?;
        padding = 0;
    }
    let out = image.conv2d(weight, padding, config.stride, 1, config.groups)?;
    add_bias(&to_channels_last(&out)?, bias)
}

/// Gradient of the input of [`conv2d_with`], of the shape `x`, from that of its output. It has no gradient itself.
///
/// # Errors
///
/// As [`conv2d_with`], and a gradient that has not the shape of the output.
pub fn conv2d_input_gradient(
    x: &Shape,
    weight: &Tensor,
    grad: &Tensor,
    config: Conv2dConfig,
) -> Result<Tensor> {
    let sizes = Sizes::of_images(x, weight.shape(), config)?;
    sizes.check_gradient(grad)?;
    if is_fused(grad) {
        let (grad, weight) = (grad.contiguous()?, weight.contiguous()?);
        return tensor(sizes.input_gradient(&values(&grad)?, &values(&weight)?), x);
    }
    let x = Var::zeros(x.clone(), grad.dtype(), grad.device())?;
    let out = conv2d_with(&x, &weight.detach(), None, config)?;
    gradient(&out, grad, &x)
}

/// Gradient of the weights of [`conv2d_with`], of the shape `weight`, from the input and the gradient of the
/// output. It has no gradient itself.
///
/// # Errors
///
/// As [`conv2d_with`], and a gradient that has not the shape of the output.
pub fn conv2d_weight_gradient(
    x: &Tensor,
    weight: &Shape,
    grad: &Tensor,
    config: Conv2dConfig,
) -> Result<Tensor> {
    let sizes = Sizes::of_images(x.shape(), weight, config)?;
    sizes.check_gradient(grad)?;
    if is_fused(x) {
        let (x, grad) = (x.contiguous()?, grad.contiguous()?);
        return tensor(sizes.weight_gradient(&values(&x)?, &values(&grad)?), weight);
    }
    let weight = Var::zeros(weight.clone(), x.dtype(), x.device())?;
    let out = conv2d_with(&x.detach(), &weight, None, config)?;
    gradient(&out, grad, &weight)
}

/// The gradient with respect to `var` by the backend, from that of `out`.
fn gradient(out: &Tensor, grad: &Tensor, var: &Var) -> Result<Tensor> {
    let grads = (out * grad.detach())?.sum_all()?.backward()?;
    match grads.get(var) {
        Some(gradient) => Ok(gradient.clone()),
        None => var.zeros_like(),
    }
}

/// Maps `x [B, n_in]` with `weight [n_out, n_in]` to `x weightᵀ + bias`, `[B, n_out]`.
///
/// # Errors
///
/// Shapes that do not fit.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (b, n_in) = x.dims2()?;
    let (n_out, weight_in) = weight.dims2()?;
    if n_in != weight_in {
        bail!(
            "a linear map of {:?} needs weights [n_out, {n_in}], got {:?}",
            x.shape(),
            weight.shape()
        );
    }
    check_bias(bias, b, n_out)?;
    if is_fused(x) {
        return fused(x, weight, bias, Conv2dConfig::same(1));
    }
    add_bias(&x.matmul(&weight.t()?)?, bias)
}

fn check_bias(bias: Option<&Tensor>, batch: usize, c_out: usize) -> Result<()> {
    match bias.map(Tensor::dims) {
        None => Ok(()),
        Some([c]) if *c == c_out => Ok(()),
        Some([b, c]) if (*b, *c) == (batch, c_out) => Ok(()),
        Some(dims) => bail!("a bias has shape [{c_out}] or [{batch}, {c_out}], got {dims:?}"),
    }
}

/// The bias broadcast over pixels, by the backend's own operations.
fn add_bias(out: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    match bias {
        None => Ok(out.clone()),
        Some(bias) if out.rank() == 4 && bias.rank() == 2 => {
            out.broadcast_add(&bias.unsqueeze(1)?.unsqueeze(1)?)
        }
        Some(bias) => out.broadcast_add(bias),
    }
}

fn fused(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    config: Conv2dConfig,
) -> Result<Tensor> {
    let bias = match bias {
        Some(bias) => bias.contiguous()?,
        None => Tensor::zeros(weight.dim(0)?, x.dtype(), x.device())?,
    };
    apply3(
        &x.contiguous()?,
        &weight.contiguous()?,
        &bias,
        Conv2d { config },
    )
}

/// The fused operation; rank 2 reads as one pixel a sample and a kernel of one.
struct Conv2d {
    config: Conv2dConfig,
}

impl CustomOp3 for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
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
        let sizes = Sizes::new(x_layout.dims(), weight_layout.dims(), self.config)?;
        let (x, weight) = (slice(x, x_layout)?, slice(weight, weight_layout)?);
        let out = sizes.convolve(x, weight, Some(slice(bias, bias_layout)?));
        Ok(output(out, sizes.out_shape(x_layout.shape())))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let sizes = Sizes::new(x.dims(), weight.dims(), self.config)?;
        let grad = grad.contiguous()?;
        let grad = values(&grad)?;
        let dx = if x.track_op() {
            let dx = sizes.input_gradient(&grad, &values(weight)?);
            Some(tensor(dx, x.shape())?)
        } else {
            None
        };
        let d_weight = if weight.track_op() {
            let d_weight = sizes.weight_gradient(&values(x)?, &grad);
            Some(tensor(d_weight, weight.shape())?)
        } else {
            None
        };
        let d_bias = if bias.track_op() {
            Some(bias_grad(&grad, x.dim(0)?, bias)?)
        } else {
            None
        };
        Ok((dx, d_weight, d_bias))
    }
}

/// Gradient of a bias that is shared by all samples or has a row for each.
fn bias_grad(grad: &[f32], batch: usize, bias: &Tensor) -> Result<Tensor> {
    let c_out = bias.dim(D::Minus1)?;
    let mut sums = bias_gradient(grad, batch, c_out);
    if bias.rank() == 1 {
        let mut total = vec![0.0; c_out];
        add_rows(&mut total, &sums);
        sums = total;
    }
    tensor(sums, bias.shape())
}
