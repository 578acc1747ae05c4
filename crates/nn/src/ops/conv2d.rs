//! Convolution with stride 1, zero padding that keeps the size, and bias.
//!
//! ```text
//! out[b, y, x, o] = bias[o] + Σ_(i, u, v) in[b, y + u - k/2, x + v - k/2, i] weight[o, i, u, v]
//! ```

use candle_core::{CpuStorage, CustomOp3, D, Layout, Result, Shape, Tensor, bail};

use super::host::{is_fused, output, slice, tensor, values};
use super::{to_channels_first, to_channels_last};
use crate::kernels::conv::{Geometry, convolve};
use crate::kernels::conv_weight::{add_rows, bias_gradient, weight_gradient};
use crate::kernels::packing::{Direction, pack};
use crate::kernels::winograd;
use crate::tape::apply3;

/// Convolves `x [B, H, W, c_in]` with `weight [c_out, c_in, k, k]`, `k` odd, to `[B, H, W, c_out]`.
///
/// `bias` has shape `[c_out]`, or `[B, c_out]` for one row per sample (a bias and an embedding added up).
///
/// # Errors
///
/// Shapes that do not fit, and an even kernel.
pub fn conv2d(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (b, _, _, c_in) = x.dims4()?;
    let (c_out, weight_in, kernel, kernel_width) = weight.dims4()?;
    if kernel != kernel_width || kernel % 2 == 0 || c_in != weight_in {
        bail!(
            "a convolution of {:?} needs weights [c_out, {c_in}, k, k] with k odd, got {:?}",
            x.shape(),
            weight.shape()
        );
    }
    check_bias(bias, b, c_out)?;
    if is_fused(x) {
        return fused(x, weight, bias, c_out);
    }
    let out = to_channels_first(x)?.conv2d(weight, kernel / 2, 1, 1, 1)?;
    add_bias(&to_channels_last(&out)?, bias)
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
        return fused(x, weight, bias, n_out);
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

fn fused(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, c_out: usize) -> Result<Tensor> {
    let bias = match bias {
        Some(bias) => bias.contiguous()?,
        None => Tensor::zeros(c_out, x.dtype(), x.device())?,
    };
    apply3(&x.contiguous()?, &weight.contiguous()?, &bias, Conv2d)
}

/// The fused operation; rank 2 reads as one pixel a sample and a kernel of one.
struct Conv2d;

/// Sizes of one call.
struct Sizes {
    geometry: Geometry,
    c_out: usize,
    c_in: usize,
}

impl Sizes {
    fn new(x: &Shape, weight: &Shape) -> Self {
        let (x, weight) = (x.dims(), weight.dims());
        let (height, width) = if x.len() == 4 { (x[1], x[2]) } else { (1, 1) };
        let kernel = if weight.len() == 4 { weight[2] } else { 1 };
        let geometry = Geometry {
            batch: x[0],
            height,
            width,
            kernel,
        };
        Self {
            geometry,
            c_out: weight[0],
            c_in: weight[1],
        }
    }

    /// The convolution, or its adjoint, by whichever kernel is the faster one.
    fn convolve(
        &self,
        x: &[f32],
        weight: &[f32],
        direction: Direction,
        bias: Option<&[f32]>,
    ) -> Vec<f32> {
        let (geometry, channels) = (self.geometry, (self.c_out, self.c_in));
        if winograd::applies(geometry, self.c_in, self.c_out) {
            let transformed = winograd::transform_weights(weight, channels, direction);
            return winograd::convolve(geometry, x, &transformed, bias);
        }
        let packed = pack(weight, (self.c_out, self.c_in, geometry.kernel), direction);
        convolve(geometry, x, &packed, bias)
    }

    /// The gradient of the weights, by whichever kernel is the faster one.
    fn weight_gradient(&self, x: &[f32], grad: &[f32]) -> Vec<f32> {
        let (geometry, channels) = (self.geometry, (self.c_out, self.c_in));
        if winograd::applies_to_weights(geometry, self.c_in, self.c_out) {
            return winograd::weight_gradient(geometry, x, grad, channels);
        }
        weight_gradient(geometry, x, grad, channels)
    }
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
        let sizes = Sizes::new(x_layout.shape(), weight_layout.shape());
        let (x, weight) = (slice(x, x_layout)?, slice(weight, weight_layout)?);
        let bias = slice(bias, bias_layout)?;
        let out = sizes.convolve(x, weight, Direction::Forward, Some(bias));
        let mut shape = x_layout.dims().to_vec();
        *shape.last_mut().expect("checked to have rank 2 or 4") = sizes.c_out;
        Ok(output(out, shape))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let sizes = Sizes::new(x.shape(), weight.shape());
        let grad = grad.contiguous()?;
        let grad = values(&grad)?;
        let dx = if x.track_op() {
            let dx = sizes.convolve(&grad, &values(weight)?, Direction::Adjoint, None);
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
