//! A network that predicts the Poisson field, and the denoiser that follows from it.

use candle_core::{D, DType, Result, Tensor, bail};
use pfgmpp_kernel::{ConditionSpec, Denoiser, Query, beside, in_f64, squared_norms};
use pfgmpp_transfer::FieldPrediction;

use crate::{Context, Network};

/// Original PFGM (D = 1, z = r = sigma): a network of C + 1 output channels that predicts the normalised field.
///
/// ```text
/// F = network(c_in x, ln(z)/4)        v_x = F's first C channels        v_z = mean of F's last channel over the pixels
/// denoised = x - z v_x / v_z
/// ```
///
/// Scalings, and what stands in for `v_z` next to the data: [`FieldPrediction`].
///
/// Source: Xu et al. 2022, arXiv:2209.11178.
pub struct FieldNetwork {
    network: Box<dyn Network>,
    prediction: FieldPrediction,
}

/// The two parts of a predicted field.
struct Field {
    /// The shape of x.
    v_x: Tensor,
    /// Shape `[B, 1]`.
    v_z: Tensor,
}

impl FieldNetwork {
    /// Reads the output of `network`, of one channel more than its input, as a field.
    pub fn new(network: Box<dyn Network>, prediction: FieldPrediction) -> Self {
        Self {
            network,
            prediction,
        }
    }

    /// How input and output are scaled.
    pub fn prediction(&self) -> &FieldPrediction {
        &self.prediction
    }

    /// Predicts the normalised field at `(x, z)`, with gradients.
    ///
    /// - `x`: perturbed data, shape `[B, C, H, W]`, `f32` or `f64`; the network works in `f32`.
    /// - `z`: the extra coordinate of each sample, length `B`, above 0, in units of the data.
    ///
    /// Returns `[B, N + 1]` in the dtype of `x`, `N = C H W`, the z component last.
    ///
    /// # Errors
    ///
    /// Shapes that do not fit the network, and failures of the tensor backend.
    pub fn field(&self, x: &Tensor, z: &[f64], context: &Context) -> Result<Tensor> {
        let Field { v_x, v_z } = self.predict(x, z, &norms(x)?, context)?;
        Tensor::cat(&[v_x.flatten_from(1)?, v_z], D::Minus1)
    }

    /// The field at `x`, given the norm of each sample.
    fn predict(&self, x: &Tensor, z: &[f64], x_norm: &[f64], context: &Context) -> Result<Field> {
        let (b, channels, height, width) = x.dims4()?;
        if z.len() != b {
            bail!(
                "z must have one entry for each of {b} samples, got {}",
                z.len()
            );
        }
        let (n, prediction) = (channels * height * width, &self.prediction);
        let samples = x_norm.iter().zip(z);
        let c_in: Vec<f64> = samples
            .map(|(x_norm, &z)| prediction.c_in(n, x_norm * x_norm, z))
            .collect();
        let c_noise: Vec<f64> = z.iter().map(|&z| prediction.c_noise(z)).collect();
        // Scaled in the dtype of x: an f64 state may be far outside the range of f32.
        let c_in = beside(c_in, (b, 1, 1, 1), x)?;
        let input = x.broadcast_mul(&c_in)?.to_dtype(DType::F32)?;
        let c_noise = beside(c_noise, b, &input)?;
        let output = self.network.forward(&input, &c_noise, context)?;
        if output.dims() != [b, channels + 1, height, width] {
            bail!(
                "a field of {:?} needs a network of {} output channels, got {:?}",
                x.shape(),
                channels + 1,
                output.shape()
            );
        }
        let output = output.to_dtype(x.dtype())?;
        let v_z = output.narrow(1, channels, 1)?.flatten_from(1)?;
        Ok(Field {
            v_x: output.narrow(1, 0, channels)?,
            v_z: v_z.mean_keepdim(1)?,
        })
    }
}

impl Denoiser for FieldNetwork {
    fn takes(&self) -> ConditionSpec {
        self.network.takes()
    }

    /// As the trait; `sigma` is z.
    fn denoise(&self, query: &Query) -> Result<Tensor> {
        self.takes().check(query)?;
        let (x, sigma) = (query.x.detach(), query.sigma);
        let x_norm = norms(&x)?;
        let context = Context::under(query.condition);
        let Field { v_x, v_z } = self.predict(&x, sigma, &x_norm, &context)?;
        let v_x_norm = norms(&v_x)?;
        let v_z = in_f64(&v_z.flatten_all()?)?.to_vec1::<f64>()?;
        let n = x.elem_count() / sigma.len().max(1);
        let factors: Vec<f64> = (0..sigma.len())
            .map(|i| {
                self.prediction
                    .factor(n, x_norm[i], sigma[i], v_x_norm[i], v_z[i])
            })
            .collect();
        let denoised = (&x + v_x.broadcast_mul(&beside(factors, (sigma.len(), 1, 1, 1), &x)?)?)?;
        Ok(denoised.detach())
    }
}

/// The norm of each sample, summed in `f64`.
fn norms(x: &Tensor) -> Result<Vec<f64>> {
    Ok(squared_norms(x)?.into_iter().map(f64::sqrt).collect())
}
