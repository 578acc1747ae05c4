//! What one convolution computes, and by which kernel.

use candle_core::{Result, Shape, Tensor, bail};

use super::Conv2dConfig;
use crate::kernels::cpu::conv::convolve;
use crate::kernels::cpu::conv_weight::weight_gradient;
use crate::kernels::cpu::geometry::Geometry;
use crate::kernels::cpu::packing::{Direction, Weights, pack};
use crate::kernels::cpu::pointwise_weight::pointwise_weight_gradient;
use crate::kernels::cpu::{groups, winograd};

/// Sizes of one call.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub(super) geometry: Geometry,
    /// Output channels of all groups.
    pub(super) c_out: usize,
    /// Input channels of one group.
    c_in: usize,
    groups: usize,
}

impl Sizes {
    /// For images `[B, H, W, C]` and weights `[c_out, C / groups, k, k]`.
    pub(super) fn of_images(x: &Shape, weight: &Shape, config: Conv2dConfig) -> Result<Self> {
        x.dims4()?;
        weight.dims4()?;
        Self::new(x.dims(), weight.dims(), config)
    }

    /// For images, or for a linear map of `[B, n_in]` by `[n_out, n_in]`.
    pub(super) fn new(x: &[usize], weight: &[usize], config: Conv2dConfig) -> Result<Self> {
        let ((batch, height, width, channels), (c_out, c_in, kernel, kernel_width)) = match (
            x, weight,
        ) {
            (&[b, c], &[o, i]) => ((b, 1, 1, c), (o, i, 1, 1)),
            (&[b, h, w, c], &[o, i, k, l]) => ((b, h, w, c), (o, i, k, l)),
            _ => bail!(
                "a convolution needs images [B, H, W, C] and weights [c_out, c_in, k, k], got {x:?} and {weight:?}"
            ),
        };
        let Conv2dConfig {
            stride,
            padding_before: before,
            padding_after: after,
            groups,
        } = config;
        if x[1..].contains(&0) || weight.contains(&0) || kernel != kernel_width {
            bail!(
                "a convolution needs images and a square kernel with something in them, got {x:?} and {weight:?}"
            );
        }
        if groups == 0 || channels % groups != 0 || c_out % groups != 0 {
            bail!("groups must divide the channels, {channels} and {c_out}, got {groups}");
        }
        if channels / groups != c_in {
            bail!(
                "a convolution of {x:?} in {groups} group(s) needs weights [c_out, {}, k, k], got {weight:?}",
                channels / groups
            );
        }
        if stride == 0 {
            bail!("a convolution's stride must be at least 1, got 0");
        }
        if before.max(after) >= kernel {
            bail!("padding must be less than the kernel's {kernel}, got {before} and {after}");
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

    /// The shape of the output for an input of shape `x`.
    pub(super) fn out_shape(&self, x: &Shape) -> Shape {
        let (batch, (height, width)) = (self.geometry.batch, self.geometry.out);
        match x.rank() {
            2 => (batch, self.c_out).into(),
            _ => (batch, height, width, self.c_out).into(),
        }
    }

    /// Whether `grad` is one of images that come out.
    pub(super) fn check_gradient(&self, grad: &Tensor) -> Result<()> {
        let (batch, (height, width)) = (self.geometry.batch, self.geometry.out);
        let want = Shape::from((batch, height, width, self.c_out));
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

    /// The output.
    pub(super) fn convolve(&self, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let group = self.of_group();
        let shared_bias = bias.is_some_and(|bias| bias.len() == self.c_out);
        self.by_groups((x, self.c_in), group.c_out, |g, x| {
            let columns = g * group.c_out..(g + 1) * group.c_out;
            let bias = bias.map(|bias| match shared_bias {
                true => bias[columns].to_vec(),
                false => groups::take(bias, self.c_out, &columns),
            });
            let weight = &weight[g * group.weights()..][..group.weights()];
            group.product(Direction::Forward, x, weight, bias.as_deref())
        })
    }

    /// The gradient of the input.
    pub(super) fn input_gradient(&self, grad: &[f32], weight: &[f32]) -> Vec<f32> {
        let group = self.of_group();
        self.by_groups((grad, group.c_out), self.c_in, |g, grad| {
            let weight = &weight[g * group.weights()..][..group.weights()];
            group.product(Direction::Adjoint, grad, weight, None)
        })
    }

    /// Weights in all.
    fn weights(&self) -> usize {
        self.c_out * self.c_in * self.geometry.kernel * self.geometry.kernel
    }

    /// Runs `f(g, x)` for each group's channels, `c_x` of them, and puts the `c_out` channels that each gives
    /// beside each other.
    fn by_groups(
        &self,
        (x, c_x): (&[f32], usize),
        c_out: usize,
        f: impl Fn(usize, &[f32]) -> Vec<f32>,
    ) -> Vec<f32> {
        if self.groups == 1 {
            return f(0, x);
        }
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
        direction: Direction,
        x: &[f32],
        weight: &[f32],
        bias: Option<&[f32]>,
    ) -> Vec<f32> {
        let geometry = match direction {
            Direction::Forward => self.geometry,
            Direction::Adjoint => self.geometry.adjoint(),
        };
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
    pub(super) fn weight_gradient(&self, x: &[f32], grad: &[f32]) -> Vec<f32> {
        let geometry = self.geometry;
        if self.groups == 1 {
            let channels = (self.c_out, self.c_in);
            if winograd::applies_to_weights(geometry, self.c_in, self.c_out) {
                return winograd::weight_gradient(geometry, x, grad, channels);
            }
            if geometry.is_pointwise() {
                return pointwise_weight_gradient(x, grad, channels);
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
