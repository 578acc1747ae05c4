//! A network made a denoiser.

use candle_core::{DType, Result, Tensor};
use pfgmpp_kernel::{ConditionSpec, Denoiser, Kernel, Query, beside, squared_norms};
use pfgmpp_transfer::{Coefficients, DataScale, NoiseLevel, PosteriorNoise, Preconditioning};

use crate::{Context, Network};

/// A network with its inputs and outputs scaled by noise level.
///
/// ```text
/// denoised = c_skip x + c_out F(c_in x, c_noise)
/// ```
///
/// Source: Karras et al. 2022, equation 7.
pub struct Preconditioned {
    network: Box<dyn Network>,
    preconditioning: Preconditioning,
    posterior: PosteriorNoise,
}

impl Preconditioned {
    /// Makes `network` a denoiser for data perturbed by `kernel`.
    ///
    /// `data` is what the effective noise level needs to know of the training data; nominal
    /// preconditioning does not look at it.
    pub fn new(
        network: Box<dyn Network>,
        preconditioning: Preconditioning,
        kernel: &Kernel,
        data: DataScale,
    ) -> Self {
        Self {
            network,
            preconditioning,
            posterior: PosteriorNoise::new(kernel.n(), kernel.d(), data),
        }
    }

    /// The scalings of each sample of `x` `[B, ...]` at nominal noise levels `sigma`, length `B`.
    ///
    /// # Errors
    ///
    /// Failures of the tensor backend.
    pub fn coefficients(&self, x: &Tensor, sigma: &[f64]) -> Result<Vec<Coefficients>> {
        let preconditioning = &self.preconditioning;
        let noise = preconditioning.noise();
        if noise == NoiseLevel::Nominal {
            let nominal = sigma.iter();
            return Ok(nominal.map(|&s| preconditioning.coefficients(s)).collect());
        }
        let samples = squared_norms(x)?.into_iter().zip(sigma);
        let of = |(x_norm_sq, &sigma): (f64, &f64)| match noise {
            NoiseLevel::Posterior => self
                .posterior
                .coefficients(preconditioning, x_norm_sq, sigma),
            _ => preconditioning.coefficients(self.posterior.sigma_eff(x_norm_sq, sigma)),
        };
        Ok(samples.map(of).collect())
    }

    /// Estimates `E[y | x]` under scalings from [`Self::coefficients`], with gradients.
    ///
    /// - `x`: perturbed data, shape `[B, C, H, W]`, `f32` or `f64`; the network works in `f32`.
    ///
    /// Returns the shape and dtype of `x`.
    ///
    /// # Errors
    ///
    /// Shapes that do not fit the network, and failures of the tensor backend.
    pub fn forward(
        &self,
        x: &Tensor,
        coefficients: &[Coefficients],
        context: &Context,
    ) -> Result<Tensor> {
        let b = coefficients.len();
        let column = |get: fn(&Coefficients) -> f64| -> Result<Tensor> {
            let values: Vec<f64> = coefficients.iter().map(get).collect();
            beside(values, (b, 1, 1, 1), x)
        };
        // Scaled in the dtype of x: an f64 state may be far outside the range of f32 at small D.
        let input = x
            .broadcast_mul(&column(|c| c.c_in)?)?
            .to_dtype(DType::F32)?;
        let c_noise = column(|c| c.c_noise)?.to_dtype(DType::F32)?;
        let output = self
            .network
            .forward(&input, &c_noise.flatten_all()?, context)?;
        let c_out = column(|c| c.c_out)?;
        x.broadcast_mul(&column(|c| c.c_skip)?)?
            + output.to_dtype(x.dtype())?.broadcast_mul(&c_out)?
    }
}

impl Denoiser for Preconditioned {
    fn takes(&self) -> ConditionSpec {
        self.network.takes()
    }

    fn denoise(&self, query: &Query) -> Result<Tensor> {
        self.takes().check(query)?;
        let x = query.x.detach();
        let coefficients = self.coefficients(&x, query.sigma)?;
        let denoised = self.forward(&x, &coefficients, &Context::under(query.condition))?;
        Ok(denoised.detach())
    }
}
