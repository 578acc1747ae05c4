//! The stable target: posterior means over a reference batch in place of single data points.

use candle_core::Tensor;
use pfgmpp_kernel::{ExactPosterior, Kernel, KernelError, PosteriorError, SampleRng};
use pfgmpp_transfer::NoiseLaw;

use crate::{Loss, TrainableDenoiser};

/// A reference batch that does not serve its training batch.
#[derive(Debug, thiserror::Error)]
pub enum StableTargetError {
    /// The training batch is the front of the reference batch, so it cannot be larger.
    #[error("the reference batch must hold at least the {batch} samples of the batch, got {got}")]
    ReferenceBatch {
        /// Samples to train on.
        batch: usize,
        /// Samples in the reference batch.
        got: usize,
    },
    /// The kernel refused the batch.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The posterior refused the reference batch.
    #[error(transparent)]
    Posterior(#[from] PosteriorError),
    /// The tensor backend failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

impl From<StableTargetError> for candle_core::Error {
    fn from(error: StableTargetError) -> Self {
        match error {
            StableTargetError::Tensor(error) => error,
            StableTargetError::Kernel(error) => error.into(),
            StableTargetError::Posterior(error) => error.into(),
            other => Self::wrap(other),
        }
    }
}

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
    pub fn new(kernel: Kernel, noise_law: NoiseLaw) -> Self {
        Self { kernel, noise_law }
    }

    /// Perturbs the first samples of a reference batch and measures the denoiser's error on them.
    ///
    /// - `reference`: clean data, shape `[R, ...]`.
    /// - `rngs`: one generator a sample, each giving its noise level, then its noise; the first
    ///   `rngs.len() <= R` data are perturbed.
    ///
    /// # Errors
    ///
    /// A reference batch with fewer samples than generators, one that does not fit the kernel or the
    /// model, and failures of the tensor backend.
    pub fn loss(
        &self,
        denoiser: &impl TrainableDenoiser,
        reference: &Tensor,
        rngs: &mut [SampleRng],
    ) -> candle_core::Result<Loss> {
        let (x, sigma) = self.perturb(reference, rngs)?;
        let target = self.target(reference, &x, &sigma)?;
        Loss::of(denoiser, &x, sigma, &target)
    }

    /// Perturbs the first `rngs.len()` samples of `reference` `[R, ...]`; returns `x` and `sigma`.
    ///
    /// # Errors
    ///
    /// [`StableTargetError`] as for [`StableTargetObjective::loss`].
    pub fn perturb(
        &self,
        reference: &Tensor,
        rngs: &mut [SampleRng],
    ) -> Result<(Tensor, Vec<f64>), StableTargetError> {
        let got = reference.dims().first().copied().unwrap_or(0);
        if rngs.len() > got {
            let batch = rngs.len();
            return Err(StableTargetError::ReferenceBatch { batch, got });
        }
        let sigma: Vec<f64> = rngs
            .iter_mut()
            .map(|rng| self.noise_law.draw(rng))
            .collect();
        let y = reference.narrow(0, 0, rngs.len())?;
        Ok((self.kernel.perturb(&y, &sigma, rngs)?, sigma))
    }

    /// The targets `Σ_k w_k y_k` of `x` `[B, ...]` at `sigma` `[B]` over `reference` `[R, ...]`.
    ///
    /// # Errors
    ///
    /// [`StableTargetError::Posterior`] when the three do not fit each other.
    pub fn target(
        &self,
        reference: &Tensor,
        x: &Tensor,
        sigma: &[f64],
    ) -> Result<Tensor, StableTargetError> {
        Ok(ExactPosterior::new(reference, self.kernel.d())?.mean(x, sigma)?)
    }
}
