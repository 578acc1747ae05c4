//! A denoiser asked at the noise levels that samples show.

use pfgmpp_kernel::{Denoiser, Dimension, Kernel};
use pfgmpp_sampler::SamplerConfig;
use pfgmpp_transfer::{DataMoments, EffectiveNoise, ParameterError};

/// `denoiser`, which is for data perturbed at `d`, as one for the D of `kernel`: asked at the levels that samples show.
pub(crate) fn at_levels_shown(
    denoiser: Box<dyn Denoiser>,
    d: Dimension,
    kernel: &Kernel,
    moments: DataMoments,
    sampler: &SamplerConfig,
) -> Result<Box<dyn Denoiser>, ParameterError> {
    if !d.is_infinite() && kernel.d() != d {
        let accepted =
            format!("{d}, that of the model: only a model of D = inf samples at another");
        return Err(ParameterError::new("d", kernel.d(), accepted));
    }
    let sigma_max = sampler.schedule.sigma_max();
    if let Some(timed) = sampler.reads_levels() {
        let timed = timed.denoiser(denoiser, kernel.n(), moments, sigma_max);
        return Ok(Box::new(timed.map_err(|e| e.under("self_timed"))?));
    }
    let Some(guess) = sampler.guess else {
        let accepted = "data_mean, fixed_point or previous where d is not that of the model";
        return Err(ParameterError::new("guess", "none", accepted));
    };
    let lifted = EffectiveNoise::new(denoiser, kernel, guess, moments)?;
    Ok(Box::new(lifted.with_sigma_max(sigma_max)?))
}
