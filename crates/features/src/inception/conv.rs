//! A convolution with its norm, and the rectifier behind it.

use candle_core::{D, Tensor};

use crate::error::FeatureError;
use crate::weights::Weights;

/// What the norms add to a variance.
const EPS: f64 = 1e-3;

/// What a convolution is, but for its weights.
#[derive(Clone, Copy)]
pub(super) struct Spec {
    name: &'static str,
    /// Channels of the result.
    pub out: usize,
    kernel: [usize; 2],
    stride: usize,
    padding: [usize; 2],
}

impl Spec {
    /// A convolution that keeps the size of an image.
    pub(super) fn same(name: &'static str, out: usize, kernel: [usize; 2]) -> Self {
        Self {
            name,
            out,
            kernel,
            stride: 1,
            padding: kernel.map(|side| side / 2),
        }
    }

    /// One of every channel alone, pixel by pixel.
    pub(super) fn point(name: &'static str, out: usize) -> Self {
        Self::same(name, out, [1, 1])
    }

    /// One whose kernel stays within the image.
    pub(super) fn valid(name: &'static str, out: usize, side: usize) -> Self {
        Self {
            name,
            out,
            kernel: [side, side],
            stride: 1,
            padding: [0, 0],
        }
    }

    /// The same at every second pixel.
    pub(super) fn halving(self) -> Self {
        Self { stride: 2, ..self }
    }
}

/// A convolution with the norm behind it multiplied in.
///
/// ```text
/// norm(w * x) = (w g / sqrt(var + eps)) * x + (b - mean g / sqrt(var + eps))
/// ```
pub(super) struct Conv {
    weight: Tensor,
    bias: Tensor,
    spec: Spec,
}

impl Conv {
    /// Takes the weights of `spec` within `block` (`Mixed_5b.`, or nothing), of `channels` channels.
    pub(super) fn take(
        weights: &mut Weights,
        block: &str,
        channels: usize,
        spec: Spec,
    ) -> Result<Self, FeatureError> {
        let Spec {
            name, out, kernel, ..
        } = spec;
        let [height, width] = kernel;
        let shape = [out, channels, height, width];
        let weight = weights.take(&format!("{block}{name}.conv.weight"), &shape)?;
        let mut norm = |what: &str| weights.take(&format!("{block}{name}.bn.{what}"), &[out]);
        let (gain, shift) = (norm("weight")?, norm("bias")?);
        let (mean, variance) = (norm("running_mean")?, norm("running_var")?);
        let scale = (gain / (variance + EPS)?.sqrt()?)?;
        Ok(Self {
            weight: weight.broadcast_mul(&scale.reshape((out, 1, 1, 1))?)?,
            bias: (shift - (mean * scale)?)?.reshape((1, out, 1, 1))?,
            spec,
        })
    }

    /// Channels of the result.
    pub(super) fn channels(&self) -> usize {
        self.spec.out
    }

    pub(super) fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let [rows, columns] = self.spec.padding;
        let x = match rows == columns {
            true => x.conv2d(&self.weight, rows, self.spec.stride, 1, 1)?,
            false => x
                .pad_with_zeros(D::Minus2, rows, rows)?
                .pad_with_zeros(D::Minus1, columns, columns)?
                .conv2d(&self.weight, 0, self.spec.stride, 1, 1)?,
        };
        x.broadcast_add(&self.bias)?.relu()
    }
}
