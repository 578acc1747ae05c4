//! A network made a denoiser.

use candle_core::{DType, Result, Tensor};
use pfgmpp_kernel::{
    ConditionSpec, Denoiser, Kernel, Pullback, Query, column, inner_products, squared_norms,
};
use pfgmpp_transfer::{
    Coefficients, DataScale, Dual, EdmPreconditioning, NoiseLevel, ParameterError, PosteriorNoise,
    Preconditioning, Real,
};

use crate::evaluation::Evaluation;
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
    ///
    /// # Errors
    ///
    /// A parameter of the preconditioning, or a number of the data's scale, outside its range.
    pub fn new(
        network: Box<dyn Network>,
        preconditioning: Preconditioning,
        kernel: &Kernel,
        data: DataScale,
    ) -> std::result::Result<Self, ParameterError> {
        preconditioning.check()?;
        data.check()?;
        Ok(Self {
            network,
            preconditioning,
            posterior: PosteriorNoise::new(kernel.n(), kernel.d(), data),
        })
    }

    /// EDM's preconditioning at the posterior noise level, which holds at every D.
    ///
    /// - `sigma_data`: the data's standard deviation, as EDM assumes it.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub fn edm(
        network: Box<dyn Network>,
        sigma_data: f64,
        kernel: &Kernel,
        data: DataScale,
    ) -> std::result::Result<Self, ParameterError> {
        let edm = EdmPreconditioning {
            sigma_data,
            noise: NoiseLevel::Posterior,
        };
        Self::new(network, Preconditioning::Edm(edm), kernel, data)
    }

    /// The scalings of each sample of `x` `[B, ...]` at nominal noise levels `sigma`, length `B`.
    ///
    /// # Errors
    ///
    /// Failures of the tensor backend.
    pub fn coefficients(&self, x: &Tensor, sigma: &[f64]) -> Result<Vec<Coefficients>> {
        if self.preconditioning.noise() == NoiseLevel::Nominal {
            // The norm is not looked at.
            let nominal = sigma.iter();
            return Ok(nominal.map(|&s| self.coefficients_of(0.0, s)).collect());
        }
        let samples = squared_norms(x)?.into_iter().zip(sigma);
        Ok(samples.map(|(q, &s)| self.coefficients_of(q, s)).collect())
    }

    /// The scalings of a sample of squared norm `x_norm_sq`, with derivatives where the arguments carry them.
    fn coefficients_of<R: Real>(&self, x_norm_sq: R, sigma: R) -> Coefficients<R> {
        let (posterior, preconditioning) = (&self.posterior, &self.preconditioning);
        match preconditioning.noise() {
            NoiseLevel::Nominal => preconditioning.coefficients_of(sigma),
            NoiseLevel::Effective => {
                preconditioning.coefficients_of(posterior.sigma_eff_of(x_norm_sq, sigma))
            }
            NoiseLevel::Posterior => posterior.coefficients_of(preconditioning, x_norm_sq, sigma),
        }
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
        let (input, c_noise) = scaled_input(x, coefficients)?;
        let output = self.network.forward(&input, &c_noise, context)?;
        scaled_output(x, &output, coefficients)
    }
}

/// What the network is given, in its own type: `c_in x` `[B, C, H, W]` and c_noise `[B]`.
fn scaled_input(x: &Tensor, coefficients: &[Coefficients]) -> Result<(Tensor, Tensor)> {
    // Scaled in the dtype of x: an f64 state may be far outside the range of f32 at small D.
    let input = times(x, coefficients, |c| c.c_in)?.to_dtype(DType::F32)?;
    let c_noise: Vec<f64> = coefficients.iter().map(|c| c.c_noise).collect();
    let c_noise = column(&c_noise, x)?.to_dtype(DType::F32)?;
    Ok((input, c_noise.flatten_all()?))
}

/// `c_skip x + c_out F` in the dtype of x.
fn scaled_output(x: &Tensor, output: &Tensor, coefficients: &[Coefficients]) -> Result<Tensor> {
    let output = output.to_dtype(x.dtype())?;
    times(x, coefficients, |c| c.c_skip)? + times(&output, coefficients, |c| c.c_out)?
}

/// Each sample of `x` times a scaling of its own.
fn times(
    x: &Tensor,
    coefficients: &[Coefficients],
    get: fn(&Coefficients) -> f64,
) -> Result<Tensor> {
    let values: Vec<f64> = coefficients.iter().map(get).collect();
    x.broadcast_mul(&column(&values, x)?)
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

    /// As the trait, by the chain rule through the network and through its scalings, which depend on |x|² unless
    /// the noise level is nominal.
    ///
    /// ```text
    /// v^T dE/dx = c_skip v + c_in g + 2 x Σ_c (v · dE/dc) dc/d|x|²,   g = c_out v^T dF/d(c_in x)
    /// ```
    fn pullback(&self, query: &Query, v: &Tensor) -> Result<Pullback> {
        self.takes().check(query)?;
        let (x, v) = (query.x.detach(), query.covector(v)?);
        let samples = squared_norms(&x)?.into_iter().zip(query.sigma);
        let scalings: Vec<_> = samples
            .map(|(q, &s)| self.coefficients_of(Dual::<2>::variable(q, 0), Dual::variable(s, 1)))
            .collect();
        let coefficients: Vec<_> = scalings.iter().map(Coefficients::values).collect();
        let (input, c_noise) = scaled_input(&x, &coefficients)?;
        let context = Context::under(query.condition);
        let evaluation = Evaluation::new(&*self.network, &input, &c_noise, &context)?;
        let output = evaluation.output();
        let gradient = evaluation.pull(&times(&v, &coefficients, |c| c.c_out)?)?;
        let by_skip = inner_products(&v, &x)?;
        let by_out = inner_products(&v, &output)?;
        let by_in = inner_products(&gradient.input, &x)?;
        // What the scalings pass on, by |x|² and by sigma.
        let through = |b: usize, i: usize| {
            let c = &scalings[b];
            by_skip[b] * c.c_skip.by[i]
                + by_out[b] * c.c_out.by[i]
                + by_in[b] * c.c_in.by[i]
                + gradient.c_noise[b] * c.c_noise.by[i]
        };
        let twice: Vec<f64> = (0..scalings.len()).map(|b| 2.0 * through(b, 0)).collect();
        let direct = (times(&v, &coefficients, |c| c.c_skip)?
            + times(&gradient.input, &coefficients, |c| c.c_in)?)?;
        Ok(Pullback {
            denoised: scaled_output(&x, &output, &coefficients)?,
            x: (direct + x.broadcast_mul(&column(&twice, &x)?)?)?,
            sigma: (0..scalings.len()).map(|b| through(b, 1)).collect(),
        })
    }
}
