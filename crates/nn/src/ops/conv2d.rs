//! Convolution with zero padding, stride, groups and bias.
//!
//! ```text
//! out[b, y, x, o] = bias[o] + Σ_(i, u, v) in[b, s y + u - p, s x + v - p, i] weight[o, i, u, v]
//! ```

use candle_core::{CpuStorage, CustomOp3, D, Layout, Result, Shape, Tensor, Var, bail};

use super::host::{is_fused, output, slice, tensor, values};
use super::{to_channels_first, to_channels_last};
use crate::kernels::conv::convolve;
use crate::kernels::conv_weight::{add_rows, bias_gradient, weight_gradient};
use crate::kernels::geometry::Geometry;
use crate::kernels::packing::{Direction, Weights, pack};
use crate::kernels::{groups, winograd};
use crate::tape::apply3;

/// How the kernel of a convolution moves over its images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2dConfig {
    /// Pixels from one place of the kernel to the next, in both directions.
    pub stride: usize,
    /// Rows of zeros above and below the image, and columns of zeros to its left and right: fewer than the kernel has.
    pub padding: (usize, usize),
    /// Groups of consecutive channels, each of which is convolved alone.
    pub groups: usize,
}

impl Conv2dConfig {
    /// Stride 1 and one group, with the padding that keeps an image's size under a kernel of odd side.
    pub fn same(kernel: usize) -> Self {
        Self {
            stride: 1,
            padding: (kernel / 2, kernel / 2),
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
/// `H' = (H + padding - k) / stride + 1`, padding being that of both sides together and the quotient rounded down, and `W'` likewise. `bias` is that of
/// [`conv2d`].
///
/// # Errors
///
/// Shapes that do not fit, a stride or groups of 0, padding as wide as the kernel, and images smaller than the kernel.
pub fn conv2d_with(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    config: Conv2dConfig,
) -> Result<Tensor> {
    let sizes = Sizes::new(x.dims(), weight.dims(), config)?;
    check_bias(bias, x.dim(0)?, sizes.c_out)?;
    if is_fused(x) {
        return fused(x, weight, bias, config);
    }
    let (before, after) = config.padding;
    let image = to_channels_first(x)?
        .pad_with_zeros(2, before, after)?
        .pad_with_zeros(3, before, after)?;
    // Only what the kernel reaches: the backend's gradient fails where rows and columns leave different remainders.
    let (rows, columns) = sizes.geometry.padded();
    let image = image.narrow(2, 0, rows)?.narrow(3, 0, columns)?;
    let out = image.conv2d(weight, 0, config.stride, 1, config.groups)?;
    add_bias(&to_channels_last(&out)?, bias)
}

/// Gradient of the input of [`conv2d_with`], of the shape `x`, from that of its output.
///
/// # Errors
///
/// Shapes that do not fit.
pub fn conv2d_input_gradient(
    grad: &Tensor,
    weight: &Tensor,
    x: &Shape,
    config: Conv2dConfig,
) -> Result<Tensor> {
    let sizes = Sizes::new(x.dims(), weight.dims(), config)?;
    sizes.check_gradient(grad)?;
    if is_fused(grad) {
        let dx = sizes.input_gradient(
            &values(&grad.contiguous()?)?,
            &values(&weight.contiguous()?)?,
        );
        return tensor(dx, x);
    }
    let x = Var::zeros(x.clone(), grad.dtype(), grad.device())?;
    let out = conv2d_with(&x, weight, None, config)?;
    let grads = (out * grad)?.sum_all()?.backward()?;
    grads
        .get(&x)
        .map_or_else(|| x.zeros_like(), |dx| Ok(dx.clone()))
}

/// Gradient of the weights of [`conv2d_with`], of the shape `weight`, from the input and the gradient of the output.
///
/// # Errors
///
/// Shapes that do not fit.
pub fn conv2d_weight_gradient(
    x: &Tensor,
    grad: &Tensor,
    weight: &Shape,
    config: Conv2dConfig,
) -> Result<Tensor> {
    let sizes = Sizes::new(x.dims(), weight.dims(), config)?;
    sizes.check_gradient(grad)?;
    if is_fused(x) {
        let d_weight =
            sizes.weight_gradient(&values(&x.contiguous()?)?, &values(&grad.contiguous()?)?);
        return tensor(d_weight, weight);
    }
    let weight = Var::zeros(weight.clone(), x.dtype(), x.device())?;
    let out = conv2d_with(x, &weight, None, config)?;
    let grads = (out * grad)?.sum_all()?.backward()?;
    grads
        .get(&weight)
        .map_or_else(|| weight.zeros_like(), |d_weight| Ok(d_weight.clone()))
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

/// Sizes of one call.
#[derive(Clone, Copy)]
struct Sizes {
    geometry: Geometry,
    /// Output channels of all groups.
    c_out: usize,
    /// Input channels of one group.
    c_in: usize,
    groups: usize,
}

impl Sizes {
    fn new(x: &[usize], weight: &[usize], config: Conv2dConfig) -> Result<Self> {
        let (batch, height, width, channels) = match *x {
            [b, c] => (b, 1, 1, c),
            [b, h, w, c] => (b, h, w, c),
            _ => bail!("a convolution needs images [B, H, W, C], got {x:?}"),
        };
        let (c_out, c_in, kernel, kernel_width) = match *weight {
            [o, i] => (o, i, 1, 1),
            [o, i, k, l] => (o, i, k, l),
            _ => bail!("a convolution needs weights [c_out, c_in, k, k], got {weight:?}"),
        };
        let Conv2dConfig {
            stride,
            padding: (before, after),
            groups,
        } = config;
        let fits = kernel == kernel_width && kernel.min(groups).min(c_in).min(c_out) > 0;
        if !fits || c_in * groups != channels || c_out % groups != 0 {
            bail!(
                "a convolution of {x:?} in {groups} groups needs weights [c_out, {channels} / {groups}, k, k], \
                 got {weight:?}"
            );
        }
        if stride == 0 || before.max(after) >= kernel {
            bail!("a convolution with a kernel of {kernel} cannot have {config:?}");
        }
        let (rows, columns) = (height + before + after, width + before + after);
        if rows.min(columns) < kernel {
            bail!(
                "images of {rows} by {columns} with padding are smaller than a kernel of {kernel}"
            );
        }
        let geometry = Geometry {
            batch,
            image: (height, width),
            out: (
                (rows - kernel) / stride + 1,
                (columns - kernel) / stride + 1,
            ),
            kernel,
            before,
            spacing: 1,
            stride,
        };
        Ok(Self {
            geometry,
            c_out,
            c_in,
            groups,
        })
    }

    /// The shape of the output for an input of rank `rank`.
    fn out_shape(&self, rank: usize) -> Shape {
        let (batch, (height, width)) = (self.geometry.batch, self.geometry.out);
        match rank {
            2 => (batch, self.c_out).into(),
            _ => (batch, height, width, self.c_out).into(),
        }
    }

    fn check_gradient(&self, grad: &Tensor) -> Result<()> {
        let want = self.out_shape(grad.rank());
        if grad.shape() != &want {
            bail!(
                "a gradient has the shape of its output, {want:?}, got {:?}",
                grad.shape()
            );
        }
        Ok(())
    }

    /// The same for one group.
    fn of_group(self) -> Self {
        Self {
            c_out: self.c_out / self.groups,
            groups: 1,
            ..self
        }
    }

    fn convolve(&self, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let direction = Direction::Forward;
        if self.groups == 1 {
            return self.product(self.geometry, x, weight, direction, bias);
        }
        let group = self.of_group();
        let shared_bias = bias.is_some_and(|bias| bias.len() == self.c_out);
        self.by_groups((x, self.c_in), group.c_out, |g, x| {
            let columns = g * group.c_out..(g + 1) * group.c_out;
            let bias = bias.map(|bias| match shared_bias {
                true => bias[columns].to_vec(),
                false => groups::take(bias, self.c_out, &columns),
            });
            let weight = &weight[g * group.weights()..][..group.weights()];
            group.product(self.geometry, x, weight, direction, bias.as_deref())
        })
    }

    fn input_gradient(&self, grad: &[f32], weight: &[f32]) -> Vec<f32> {
        let (direction, geometry) = (Direction::Adjoint, self.geometry.adjoint());
        if self.groups == 1 {
            return self.product(geometry, grad, weight, direction, None);
        }
        let group = self.of_group();
        self.by_groups((grad, group.c_out), self.c_in, |g, grad| {
            let weight = &weight[g * group.weights()..][..group.weights()];
            group.product(geometry, grad, weight, direction, None)
        })
    }

    /// Weights in all.
    fn weights(&self) -> usize {
        self.c_out * self.c_in * self.geometry.kernel * self.geometry.kernel
    }

    /// Runs `f(g, x)` for each group's channels, `c_x` of them, and puts the `c_out` channels that each gives beside each other.
    fn by_groups(
        &self,
        (x, c_x): (&[f32], usize),
        c_out: usize,
        f: impl Fn(usize, &[f32]) -> Vec<f32>,
    ) -> Vec<f32> {
        let mut out = Vec::new();
        for g in 0..self.groups {
            let part = groups::take(x, c_x * self.groups, &(g * c_x..(g + 1) * c_x));
            let part = f(g, &part);
            out.resize(part.len() * self.groups, 0.0);
            groups::put(
                &part,
                &mut out,
                c_out * self.groups,
                &(g * c_out..(g + 1) * c_out),
            );
        }
        out
    }

    /// The convolution of one group, or its adjoint, by whichever kernel is the faster one.
    fn product(
        &self,
        geometry: Geometry,
        x: &[f32],
        weight: &[f32],
        direction: Direction,
        bias: Option<&[f32]>,
    ) -> Vec<f32> {
        let weights = Weights {
            values: weight,
            c_in: self.c_in,
            taps: geometry.kernel * geometry.kernel,
            direction,
        };
        if winograd::applies(geometry, self.c_in, self.c_out) {
            return winograd::convolve(geometry, x, weights, bias);
        }
        convolve(geometry, x, &pack(weights), bias)
    }

    /// The gradient of the weights, by whichever kernel is the faster one.
    fn weight_gradient(&self, x: &[f32], grad: &[f32]) -> Vec<f32> {
        let geometry = self.geometry;
        if self.groups == 1 {
            let channels = (self.c_out, self.c_in);
            if winograd::applies_to_weights(geometry, self.c_in, self.c_out) {
                return winograd::weight_gradient(geometry, x, grad, channels);
            }
            return weight_gradient(geometry, x, grad, channels);
        }
        let group = self.of_group();
        let parts = (0..self.groups).map(|g| {
            let part = |values: &[f32], c: usize| {
                groups::take(values, c * self.groups, &(g * c..(g + 1) * c))
            };
            group.weight_gradient(&part(x, self.c_in), &part(grad, group.c_out))
        });
        parts.collect::<Vec<_>>().concat()
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
        let sizes = Sizes::new(x_layout.dims(), weight_layout.dims(), self.config)?;
        let (x, weight) = (slice(x, x_layout)?, slice(weight, weight_layout)?);
        let out = sizes.convolve(x, weight, Some(slice(bias, bias_layout)?));
        Ok(output(out, sizes.out_shape(x_layout.dims().len())))
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
