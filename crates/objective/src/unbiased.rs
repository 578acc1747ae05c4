//! Denoising score matching with the PFGM++ kernel.

use candle_core::{Result, Tensor};
use pfgmpp_kernel::{Kernel, SampleRng};
use pfgmpp_transfer::{NoiseLaw, ParameterError};

use crate::{Loss, TrainingModel};

/// The unbiased objective for one kernel and noise law.
#[derive(Clone, Debug)]
pub struct UnbiasedObjective {
    kernel: Kernel,
    noise_law: NoiseLaw,
}

impl UnbiasedObjective {
    /// The objective that perturbs by `kernel` at noise levels drawn from `noise_law`.
    ///
    /// # Errors
    ///
    /// A noise law with a parameter outside its range.
    pub fn new(kernel: Kernel, noise_law: NoiseLaw) -> std::result::Result<Self, ParameterError> {
        noise_law.check().map_err(|e| e.under("noise_law"))?;
        Ok(Self { kernel, noise_law })
    }

    /// Perturbs a batch and measures the model's error on it.
    ///
    /// - `model`: predicts the clean data, a denoiser in training.
    /// - `y`: clean data, shape `[B, ...]`.
    /// - `rngs`: one generator a sample; each gives its noise level, then its noise.
    ///
    /// ```text
    /// x = y + sigma sqrt(w) eps,   loss = mean_b weight_b mean_n (prediction - y)²
    /// ```
    ///
    /// # Errors
    ///
    /// A batch that does not fit the kernel or the model, and failures of the tensor backend.
    pub fn loss(
        &self,
        model: &impl TrainingModel,
        y: &Tensor,
        rngs: &mut [SampleRng],
    ) -> Result<Loss> {
        let sigma: Vec<f64> = rngs
            .iter_mut()
            .map(|rng| self.noise_law.draw(rng))
            .collect();
        let x = self.kernel.perturb(y, &sigma, rngs)?;
        Loss::of(model, &x, sigma, y)
    }

    /// As [`Self::loss`], each sample perturbed by a kernel of its own, that of another D.
    ///
    /// - `kernels`: one a sample; that of the objective is not used.
    ///
    /// # Errors
    ///
    /// A batch that does not fit the kernels or the model, and failures of the tensor backend.
    pub fn loss_at(
        &self,
        kernels: &[&Kernel],
        model: &impl TrainingModel,
        y: &Tensor,
        rngs: &mut [SampleRng],
    ) -> Result<Loss> {
        let mut sigma = Vec::with_capacity(rngs.len());
        let mut x = Vec::with_capacity(rngs.len());
        for (b, (kernel, rng)) in kernels.iter().zip(rngs.iter_mut()).enumerate() {
            sigma.push(self.noise_law.draw(rng));
            let y = y.narrow(0, b, 1)?;
            x.push(kernel.perturb(&y, &sigma[b..], std::slice::from_mut(rng))?);
        }
        Loss::of(model, &Tensor::cat(&x, 0)?, sigma, y)
    }
}
