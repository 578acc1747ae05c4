//! What happens to the samples between two steps of a solver.

use candle_core::{Result, Tensor};
use pfgmpp_kernel::{SampleRng, Stream, standard_normal};
use pfgmpp_transfer::ParameterError;

use crate::Path;

/// Something done to a batch before each step of a solver with fixed steps, down the noise levels.
pub trait BeforeStep {
    /// Takes the state `x` `[B, ...]` at `sigma` before step `step`, and gives the state and the noise level that the
    /// step begins at.
    ///
    /// # Errors
    ///
    /// Failures of the model.
    fn before(&self, step: usize, x: Tensor, sigma: f64, path: &mut Path) -> Result<(Tensor, f64)>;
}

/// Gaussian noise that the solver is not told of: what a sampler makes of errors on its way.
///
/// ```text
/// x + alpha sigma eps,   eps ~ N(0, I)      before each step; the level stays sigma
/// ```
///
/// Source: Xu et al. 2023, section 5.2, where samplers of different D are set against it.
pub struct InjectedNoise<'a> {
    alpha: f64,
    seeds: &'a [u64],
}

impl<'a> InjectedNoise<'a> {
    /// Noise of `alpha` times the level for the samples of `seeds`.
    #[must_use]
    pub fn new(alpha: f64, seeds: &'a [u64]) -> Self {
        Self { alpha, seeds }
    }

    /// Checks alpha.
    ///
    /// # Errors
    ///
    /// An alpha outside 0 to 10.
    pub fn check(alpha: f64) -> std::result::Result<(), ParameterError> {
        ParameterError::within("injected_noise", alpha, 0.0, 10.0)
    }
}

impl BeforeStep for InjectedNoise<'_> {
    fn before(
        &self,
        step: usize,
        x: Tensor,
        sigma: f64,
        _path: &mut Path,
    ) -> Result<(Tensor, f64)> {
        if self.alpha == 0.0 {
            return Ok((x, sigma));
        }
        let rng = |&seed: &u64| SampleRng::new(seed, Stream::Injected, step as u64);
        let mut rngs: Vec<SampleRng> = self.seeds.iter().map(rng).collect();
        let eps = standard_normal(&x.dims()[1..], &mut rngs, x.dtype(), x.device())?;
        Ok(((x + (eps * (self.alpha * sigma))?)?, sigma))
    }
}
