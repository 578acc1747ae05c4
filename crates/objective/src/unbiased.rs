//! Denoising score matching with the PFGM++ kernel.

use candle_core::{Result, Tensor};
use pfgmpp_kernel::{Kernel, SampleRng, beside, in_f64};
use pfgmpp_transfer::NoiseLaw;

/// A denoiser in training: it says how to weight its own errors.
///
/// The weight may depend on `x` as well as on `sigma`: the minimiser of a weighted squared error is
/// `E[y | x]` for any positive weight that does not depend on `y`.
pub trait TrainableDenoiser {
    /// Estimates `E[y | x]` with gradients, and gives the loss weight of each sample.
    ///
    /// - `x`: perturbed data, shape `[B, ...]`.
    /// - `sigma`: nominal noise level of each sample, length `B`.
    ///
    /// Returns the estimate, shaped as `x`, and `B` weights.
    ///
    /// # Errors
    ///
    /// Shapes that do not fit the model, and failures of the tensor backend.
    fn denoise_weighted(&self, x: &Tensor, sigma: &[f64]) -> Result<(Tensor, Vec<f64>)>;
}

/// The loss of one batch.
pub struct Loss {
    /// Mean over batch and elements, a scalar with gradients.
    pub mean: Tensor,
    /// The noise level drawn for each sample; its extra coordinate z for a field.
    pub sigma: Vec<f64>,
    /// The loss of each sample, mean over its elements, shape `[B]`, without gradients.
    pub per_sample: Tensor,
}

impl Loss {
    /// The weighted error of `denoiser` at `x` `[B, ...]` beside `target`, shaped as `x`.
    pub(crate) fn of(
        denoiser: &impl TrainableDenoiser,
        x: &Tensor,
        sigma: Vec<f64>,
        target: &Tensor,
    ) -> Result<Self> {
        let (denoised, weight) = denoiser.denoise_weighted(x, &sigma)?;
        let b = weight.len();
        let weight = beside(weight, b, target)?;
        let error = (denoised - target)?.sqr()?.flatten_from(1)?.mean(1)?;
        let per_sample = (error * weight)?;
        Ok(Self {
            mean: per_sample.mean_all()?,
            sigma,
            per_sample: in_f64(&per_sample.detach())?,
        })
    }
}

/// The unbiased objective for one kernel and noise law.
#[derive(Clone, Debug)]
pub struct UnbiasedObjective {
    kernel: Kernel,
    noise_law: NoiseLaw,
}

impl UnbiasedObjective {
    /// The objective that perturbs by `kernel` at noise levels drawn from `noise_law`.
    pub fn new(kernel: Kernel, noise_law: NoiseLaw) -> Self {
        Self { kernel, noise_law }
    }

    /// Perturbs a batch and measures the denoiser's error on it.
    ///
    /// - `y`: clean data, shape `[B, ...]`.
    /// - `rngs`: one generator a sample; each gives its noise level, then its noise.
    ///
    /// ```text
    /// x = y + sigma sqrt(w) eps,   loss = mean_b weight_b mean_n (denoised - y)²
    /// ```
    ///
    /// # Errors
    ///
    /// A batch that does not fit the kernel or the model, and failures of the tensor backend.
    pub fn loss(
        &self,
        denoiser: &impl TrainableDenoiser,
        y: &Tensor,
        rngs: &mut [SampleRng],
    ) -> Result<Loss> {
        let sigma: Vec<f64> = rngs
            .iter_mut()
            .map(|rng| self.noise_law.draw(rng))
            .collect();
        let x = self.kernel.perturb(y, &sigma, rngs)?;
        Loss::of(denoiser, &x, sigma, y)
    }
}
