//! A network that predicts the Poisson field, and the denoiser that follows from it.

use candle_core::{D, DType, Result, Tensor, bail};
use pfgmpp_kernel::{
    ConditionSpec, Denoiser, Pullback, Query, beside, column, in_f64, inner_products, squared_norms,
};
use pfgmpp_transfer::{Dual, FieldPrediction};

use crate::evaluation::Evaluation;
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
        let (input, c_noise) = self.scaled_input(x, z, x_norm)?;
        let output = self.network.forward(&input, &c_noise, context)?;
        Field::of(x, &output)
    }

    /// What the network is given, in its own type: `c_in x` `[B, C, H, W]` and c_noise `[B]`.
    fn scaled_input(&self, x: &Tensor, z: &[f64], x_norm: &[f64]) -> Result<(Tensor, Tensor)> {
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
        Ok((input, c_noise))
    }

    /// c_in and c_noise of each sample, with their derivatives by |x| and z.
    fn scalings(&self, n: usize, x_norm: &[f64], z: &[f64]) -> Vec<[Dual<2>; 2]> {
        let samples = x_norm.iter().zip(z);
        let of = |(&x_norm, &z)| {
            let [x_norm, z] = variables([x_norm, z]);
            let c_in = self.prediction.c_in(n, x_norm * x_norm, z);
            [c_in, self.prediction.c_noise(z)]
        };
        samples.map(of).collect()
    }
}

impl Field {
    /// Of a network's output at `x`.
    fn of(x: &Tensor, output: &Tensor) -> Result<Self> {
        let (b, channels, height, width) = x.dims4()?;
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
        Ok(Self {
            v_x: output.narrow(1, 0, channels)?,
            v_z: v_z.mean_keepdim(1)?,
        })
    }

    /// `v_z` of each sample.
    fn v_z(&self) -> Result<Vec<f64>> {
        in_f64(&self.v_z.flatten_all()?)?.to_vec1()
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
        let field = self.predict(&x, sigma, &x_norm, &context)?;
        let (v_x_norm, v_z) = (norms(&field.v_x)?, field.v_z()?);
        let n = x.elem_count() / sigma.len().max(1);
        let factors: Vec<f64> = (0..sigma.len())
            .map(|i| {
                self.prediction
                    .factor(n, x_norm[i], sigma[i], v_x_norm[i], v_z[i])
            })
            .collect();
        Ok(moved_by(&x, &field.v_x, &factors)?.detach())
    }

    /// As the trait, by the chain rule through the network, its scalings and the norms behind the factor of `v_x`;
    /// `sigma` is z.
    ///
    /// What a bound holds does not move; the norm of a field that is 0 has the derivative 0.
    fn pullback(&self, query: &Query, v: &Tensor) -> Result<Pullback> {
        self.takes().check(query)?;
        let (x, v, z) = (query.x.detach(), query.covector(v)?, query.sigma);
        let (n, x_norm) = (x.elem_count() / z.len().max(1), norms(&x)?);
        let (input, c_noise) = self.scaled_input(&x, z, &x_norm)?;
        let context = Context::under(query.condition);
        let evaluation = Evaluation::new(&*self.network, &input, &c_noise, &context)?;
        let field = Field::of(&x, &evaluation.output())?;
        let (v_x_norm, v_z) = (norms(&field.v_x)?, field.v_z()?);
        // By |x|, z, |v_x| and v_z.
        let factor = |i: usize| {
            let [x_norm, z, v_x_norm, v_z] = variables([x_norm[i], z[i], v_x_norm[i], v_z[i]]);
            self.prediction.factor(n, x_norm, z, v_x_norm, v_z)
        };
        let factors: Vec<Dual<4>> = (0..z.len()).map(factor).collect();
        let by_factor = inner_products(&v, &field.v_x)?;
        let factors_by = || factors.iter().zip(&by_factor);
        let of = |i: usize| factors_by().map(move |(f, g)| f.by[i] * g);
        let values: Vec<f64> = factors.iter().map(|f| f.value).collect();
        let by_v_x =
            (v.broadcast_mul(&column(&values, &x)?)? + along(&field.v_x, &v_x_norm, of(2))?)?;
        let by_v_z = spread(&x, of(3))?;
        let gradient = evaluation.pull(&Tensor::cat(&[by_v_x, by_v_z], 1)?)?;
        let by_in = inner_products(&gradient.input, &x)?;
        let scalings = self.scalings(n, &x_norm, z);
        let c_in: Vec<f64> = scalings.iter().map(|[c_in, _]| c_in.value).collect();
        let by_x_norm = of(0).zip(&scalings).enumerate();
        let by_x_norm = by_x_norm.map(|(i, (g, [c_in, _]))| g + by_in[i] * c_in.by[0]);
        let by_z = of(1).zip(&scalings).enumerate();
        let by_z = by_z.map(|(i, (g, [c_in, c_noise]))| {
            g + by_in[i] * c_in.by[1] + gradient.c_noise[i] * c_noise.by[1]
        });
        let inside = gradient.input.broadcast_mul(&column(&c_in, &x)?)?;
        Ok(Pullback {
            denoised: moved_by(&x, &field.v_x, &values)?,
            x: ((&v + inside)? + along(&x, &x_norm, by_x_norm)?)?,
            sigma: by_z.collect(),
        })
    }
}

/// `x + factor v_x`.
fn moved_by(x: &Tensor, v_x: &Tensor, factors: &[f64]) -> Result<Tensor> {
    x + v_x.broadcast_mul(&column(factors, x)?)?
}

/// The numbers that derivatives are taken by, in their order.
fn variables<const M: usize>(values: [f64; M]) -> [Dual<M>; M] {
    std::array::from_fn(|i| Dual::variable(values[i], i))
}

/// What a covector of the norm of each sample is of the sample: `g x / |x|`, 0 at 0.
fn along(x: &Tensor, norm: &[f64], by_norm: impl Iterator<Item = f64>) -> Result<Tensor> {
    let quotient = |(g, &norm)| if norm > 0.0 { g / norm } else { 0.0 };
    let quotients: Vec<f64> = by_norm.zip(norm).map(quotient).collect();
    x.broadcast_mul(&column(&quotients, x)?)
}

/// A covector of the mean of a channel as one of its pixels, `[B, 1, H, W]` beside `x` `[B, C, H, W]`.
fn spread(x: &Tensor, by_mean: impl Iterator<Item = f64>) -> Result<Tensor> {
    let (b, _, height, width) = x.dims4()?;
    let pixels = (height * width) as f64;
    let each: Vec<f64> = by_mean.map(|g| g / pixels).collect();
    column(&each, x)?.broadcast_as((b, 1, height, width))
}

/// The norm of each sample, summed in `f64`.
fn norms(x: &Tensor) -> Result<Vec<f64>> {
    Ok(squared_norms(x)?.into_iter().map(f64::sqrt).collect())
}
