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

/// A convolution with the norm behind it multiplied in, and the rectifier behind that.
///
/// ```text
/// norm(w * x) = (w g / sqrt(var + eps)) * x + (b - mean g / sqrt(var + eps))
/// ```
pub(super) struct Conv {
    map: Map,
    spec: Spec,
}

/// The map that a convolution is.
enum Map {
    /// In main memory: a matrix `[out, channels height width + 1]`, the bias in its last column, for one product with
    /// [`columns`]. The backend's own convolution takes almost twice the time.
    Matrix(Tensor),
    /// On a GPU: `[out, channels, height, width]`, and the bias `[1, out, 1, 1]`.
    Kernel(Tensor, Tensor),
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
        let weight = weight.broadcast_mul(&scale.reshape((out, 1, 1, 1))?)?;
        let bias = (shift - (mean * scale)?)?;
        let map = match weight.device().is_cpu() {
            true => Map::matrix(&weight, &bias)?,
            false => Map::kernel(weight, &bias)?,
        };
        Ok(Self { map, spec })
    }

    /// Channels of the result.
    pub(super) fn channels(&self) -> usize {
        self.spec.out
    }

    /// The result of images `[n, C, H, W]`; in main memory of one image.
    pub(super) fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        self.map.forward(x, &self.spec)
    }
}

impl Map {
    fn matrix(weight: &Tensor, bias: &Tensor) -> candle_core::Result<Self> {
        let parts = [weight.flatten_from(1)?, bias.unsqueeze(1)?];
        Ok(Self::Matrix(Tensor::cat(&parts, 1)?))
    }

    fn kernel(weight: Tensor, bias: &Tensor) -> candle_core::Result<Self> {
        Ok(Self::Kernel(weight, bias.reshape((1, (), 1, 1))?))
    }

    fn forward(&self, x: &Tensor, spec: &Spec) -> candle_core::Result<Tensor> {
        match self {
            Self::Matrix(matrix) => {
                let (_, channels, height, width) = x.dims4()?;
                let pixels = x.flatten_all()?.to_vec1::<f32>()?;
                let (columns, [height, width]) = columns(&pixels, [channels, height, width], spec);
                let shape = (matrix.dim(1)?, height * width);
                let columns = Tensor::from_vec(columns, shape, x.device())?;
                let result = matrix.matmul(&columns)?.relu()?;
                result.reshape((1, spec.out, height, width))
            }
            Self::Kernel(weight, bias) => {
                let [above, left] = spec.padding;
                let x = match above == left {
                    true => x.conv2d(weight, above, spec.stride, 1, 1)?,
                    // The backend pads both directions alike.
                    false => x
                        .pad_with_zeros(D::Minus2, above, above)?
                        .pad_with_zeros(D::Minus1, left, left)?
                        .conv2d(weight, 0, spec.stride, 1, 1)?,
                };
                x.broadcast_add(bias)?.relu()
            }
        }
    }
}

/// What every pixel of the result is a sum over, as a column: `[channels height width + 1, pixels]`, the last row of ones; and
/// the size of the result.
fn columns(
    x: &[f32],
    [channels, height, width]: [usize; 3],
    spec: &Spec,
) -> (Vec<f32>, [usize; 2]) {
    let ([kernel_height, kernel_width], [above, left]) = (spec.kernel, spec.padding);
    let size = |side: usize, kernel: usize, padding: usize| {
        (side + 2 * padding - kernel) / spec.stride + 1
    };
    let out = [
        size(height, kernel_height, above),
        size(width, kernel_width, left),
    ];
    let num = out[0] * out[1];
    let rows = channels * kernel_height * kernel_width;
    let mut columns = Vec::with_capacity((rows + 1) * num);
    for plane in x.chunks(height * width) {
        for i in 0..kernel_height {
            for j in 0..kernel_width {
                // Columns of the result that see a pixel of the image here: those before and behind see zeros.
                let first = left.saturating_sub(j).div_ceil(spec.stride);
                let end = (width + left - j).div_ceil(spec.stride).min(out[1]);
                for y in 0..out[0] {
                    let begun = columns.len();
                    let row = (y * spec.stride + i).checked_sub(above);
                    if let Some(row) = row.filter(|row| *row < height) {
                        columns.resize(begun + first, 0.0);
                        let seen = &plane[row * width..][..width];
                        let seen = &seen[first * spec.stride + j - left..];
                        match spec.stride {
                            1 => columns.extend_from_slice(&seen[..end - first]),
                            stride => columns.extend(seen.iter().step_by(stride).take(end - first)),
                        }
                    }
                    columns.resize(begun + out[1], 0.0);
                }
            }
        }
    }
    columns.resize((rows + 1) * num, 1.0);
    (columns, out)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn numbers(shape: &[usize]) -> Tensor {
        let num = shape.iter().product::<usize>();
        let values = (0..num).map(|k| ((k * k * 31 + k * 17) % 101) as f32 / 50.0 - 1.0);
        Tensor::from_vec(values.collect(), shape, &Device::Cpu).unwrap()
    }

    #[test]
    fn a_product_and_the_backends_convolution_are_the_same_map() {
        let x = numbers(&[1, 3, 9, 8]);
        for (spec, size) in [
            (Spec::point("", 4), [9, 8]),
            (Spec::same("", 4, [3, 3]), [9, 8]),
            (Spec::same("", 4, [5, 5]), [9, 8]),
            (Spec::same("", 4, [1, 7]), [9, 8]),
            (Spec::same("", 4, [7, 1]), [9, 8]),
            (Spec::valid("", 4, 3), [7, 6]),
            (Spec::valid("", 4, 3).halving(), [4, 3]),
        ] {
            let weight = numbers(&[4, 3, spec.kernel[0], spec.kernel[1]]);
            let bias = numbers(&[4]);
            let product = Map::matrix(&weight, &bias).unwrap();
            let got = product.forward(&x, &spec).unwrap();
            let kernel = Map::kernel(weight, &bias).unwrap();
            let want = kernel.forward(&x, &spec).unwrap();
            assert_eq!(got.dims()[1..], [4, size[0], size[1]]);
            let off = (&got - &want).unwrap().abs().unwrap().max_all().unwrap();
            let off = off.to_scalar::<f32>().unwrap();
            assert!(
                off < 1e-5,
                "{:?}: got a difference of {off}, want 1e-5",
                spec.kernel
            );
        }
    }
}
