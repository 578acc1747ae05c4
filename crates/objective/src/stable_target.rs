//! The stable target: posterior means over a reference batch in place of single data points.

use candle_core::Tensor;
use pfgmpp_kernel::{ExactPosterior, Kernel, PosteriorError, SampleRng};
use pfgmpp_transfer::{NoiseLaw, ParameterError};

use crate::{Loss, TrainingModel};

/// The stable-target objective for one kernel and noise law, at any D.
///
/// ```text
/// x = y_b + sigma sqrt(w) eps,   target = Σ_k w_k y_k,   w_k ∝ p_r(x | y_k) over the reference batch
/// ```
///
/// The target is a self-normalised estimate of `E[y|x]`: its variance falls with the size of the
/// reference batch, and so does its bias. With a reference batch of one sample it is the unbiased
/// objective. Source: Xu, Tong, Jaakkola 2023, arXiv:2302.00670, algorithm 1, with the kernel of D.
#[derive(Clone, Debug)]
pub struct StableTargetObjective {
    kernel: Kernel,
    noise_law: NoiseLaw,
}

impl StableTargetObjective {
    /// The objective that perturbs by `kernel` at noise levels drawn from `noise_law`.
    ///
    /// # Errors
    ///
    /// A noise law with a parameter outside its range.
    pub fn new(kernel: Kernel, noise_law: NoiseLaw) -> Result<Self, ParameterError> {
        noise_law.check().map_err(|e| e.under("noise_law"))?;
        Ok(Self { kernel, noise_law })
    }

    /// Perturbs a batch and measures the model's error on its stable targets.
    ///
    /// - `model`: predicts the clean data, a denoiser in training.
    /// - `y`: clean data, shape `[B, ...]`.
    /// - `reference`: clean data that the targets average over, shape `[R, ...]`; it should hold `y`.
    /// - `rngs`: one generator a sample; each gives its noise level, then its noise.
    ///
    /// # Errors
    ///
    /// A batch or a reference batch that does not fit the kernel or the model, and failures of the
    /// tensor backend.
    pub fn loss(
        &self,
        model: &impl TrainingModel,
        y: &Tensor,
        reference: &Tensor,
        rngs: &mut [SampleRng],
    ) -> candle_core::Result<Loss> {
        let sigma: Vec<f64> = rngs
            .iter_mut()
            .map(|rng| self.noise_law.draw(rng))
            .collect();
        let x = self.kernel.perturb(y, &sigma, rngs)?;
        let target = self.target(reference, &x, &sigma)?;
        Loss::of(model, &x, sigma, &target)
    }

    /// The targets `Σ_k w_k y_k` of `x` `[B, ...]` at `sigma` `[B]` over `reference` `[R, ...]`.
    ///
    /// # Errors
    ///
    /// [`PosteriorError`] when the three do not fit each other.
    pub fn target(
        &self,
        reference: &Tensor,
        x: &Tensor,
        sigma: &[f64],
    ) -> Result<Tensor, PosteriorError> {
        ExactPosterior::new(reference, self.kernel.d())?.mean(x, sigma)
    }
}
