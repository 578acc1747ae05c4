//! Noise added on the way: stochastic sampling at any D.

use candle_core::{Result, Tensor};
use pfgmpp_kernel::{Kernel, SampleRng, Stream, squared_norms, standard_normal};
use pfgmpp_transfer::ParameterError;
use serde::{Deserialize, Serialize};

use crate::{BeforeStep, Path};
use pfgmpp_kernel::column;

/// How much noise a stochastic sampler adds before each step.
///
/// ```text
/// sigma_hat = sigma (1 + min(s_churn / num_steps, sqrt(2) - 1))   where s_min <= sigma <= s_max
/// ```
///
/// Source: Karras et al. 2022, algorithm 2.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChurnConfig {
    /// Overall amount.
    pub s_churn: f64,
    /// Lowest noise level at which noise is added.
    pub s_min: f64,
    /// Highest noise level at which noise is added.
    pub s_max: f64,
    /// Factor on the added noise; 1 keeps the marginals.
    pub s_noise: f64,
    /// The law of the added noise.
    pub kind: ChurnKind,
}

/// The law of the added noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChurnKind {
    /// In proportion to a draw of the sample's true noise scale given its distance from its estimate: keeps the
    /// Student-t marginals at every D.
    Posterior,
    /// In proportion to the nominal noise level, as published: keeps the marginals at D = ∞ only.
    Gaussian,
}

impl ChurnConfig {
    /// Checks the parameters.
    ///
    /// # Errors
    ///
    /// A negative amount, a factor outside (0, 2], crossed ends.
    pub fn check(&self) -> std::result::Result<(), ParameterError> {
        ParameterError::within("s_churn", self.s_churn, 0.0, 1e6)?;
        ParameterError::within("s_min", self.s_min, 0.0, 1e6)?;
        ParameterError::within("s_noise", self.s_noise, 1e-3, 2.0)?;
        // Finite: a checkpoint keeps it in JSON, which has no infinity.
        ParameterError::within("s_max", self.s_max, 0.0, 1e6)?;
        ParameterError::ordered("s_min", self.s_min, "s_max", self.s_max)
    }
}

/// The added noise of one batch on its way.
pub struct Churn<'a> {
    config: &'a ChurnConfig,
    kernel: &'a Kernel,
    seeds: &'a [u64],
    /// Growth of sigma in a step.
    growth: f64,
}

impl<'a> Churn<'a> {
    /// The noise of `config` for the samples of `seeds`, in `num_steps` steps.
    pub fn new(
        config: &'a ChurnConfig,
        kernel: &'a Kernel,
        seeds: &'a [u64],
        num_steps: usize,
    ) -> Self {
        let gamma = (config.s_churn / num_steps as f64).min(2f64.sqrt() - 1.0);
        Self {
            config,
            kernel,
            seeds,
            growth: 1.0 + gamma,
        }
    }
}

impl BeforeStep for Churn<'_> {
    /// Raises the noise level of `x` `[B, ...]` before step `step`; gives `x` back where nothing is added.
    ///
    /// The posterior kind measures by the path's last estimate, and takes one evaluation where there is none yet.
    fn before(&self, step: usize, x: Tensor, sigma: f64, path: &mut Path) -> Result<(Tensor, f64)> {
        let window = self.config.s_min..=self.config.s_max;
        if self.growth == 1.0 || !window.contains(&sigma) {
            return Ok((x, sigma));
        }
        let sigma_hat = sigma * self.growth;
        let streams = self.seeds.iter();
        let mut rngs: Vec<SampleRng> = streams
            .map(|&seed| SampleRng::new(seed, Stream::Churn, step as u64))
            .collect();
        let scales = match (self.config.kind, path.denoised()) {
            // The scale's normal is taken by either kind, so that both add the same noise.
            (ChurnKind::Gaussian, _) => {
                let draws = rngs.iter_mut();
                draws.for_each(|rng| {
                    let _ = self.kernel.draw_posterior_scale(0.0, sigma, rng);
                });
                vec![sigma; self.seeds.len()]
            }
            (ChurnKind::Posterior, Some(denoised)) => {
                posterior_scales(self.kernel, &x, denoised, sigma, &mut rngs)?
            }
            (ChurnKind::Posterior, None) => {
                let denoised = path.estimate(&x, sigma)?;
                posterior_scales(self.kernel, &x, &denoised, sigma, &mut rngs)?
            }
        };
        path.forget();
        let added = raise(&x, &scales, self.growth, self.config.s_noise, &mut rngs)?;
        Ok((added, sigma_hat))
    }
}

/// Draws the true noise scale of each sample of `x` `[B, ...]` given its distance from `denoised`.
///
/// # Errors
///
/// Failures of the tensor backend.
pub fn posterior_scales(
    kernel: &Kernel,
    x: &Tensor,
    denoised: &Tensor,
    sigma: f64,
    rngs: &mut [SampleRng],
) -> Result<Vec<f64>> {
    let distances = squared_norms(&(x - denoised)?)?.into_iter().map(f64::sqrt);
    let draws = distances.zip(rngs);
    Ok(draws
        .map(|(distance, rng)| kernel.draw_posterior_scale(distance, sigma, rng))
        .collect())
}

/// Adds Gaussian noise that takes samples of noise scales `scales` to `ratio` times those.
///
/// ```text
/// x_hat_b = x_b + s_noise sqrt(ratio² - 1) scales_b eps_b
/// ```
///
/// # Errors
///
/// Failures of the tensor backend.
pub fn raise(
    x: &Tensor,
    scales: &[f64],
    ratio: f64,
    s_noise: f64,
    rngs: &mut [SampleRng],
) -> Result<Tensor> {
    let eps = standard_normal(&x.dims()[1..], rngs, x.dtype(), x.device())?;
    let growth = s_noise * (ratio * ratio - 1.0).max(0.0).sqrt();
    let scales: Vec<f64> = scales.iter().map(|scale| scale * growth).collect();
    x + eps.broadcast_mul(&column(&scales, x)?)?
}
