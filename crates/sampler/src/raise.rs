//! Raising the noise level of a batch.

use candle_core::{DType, Result, Tensor};
use pfgmpp_kernel::{Kernel, SampleRng, standard_normal};

use crate::state::column;

/// Raises the noise level of `x` `[B, ...]` as published: by Gaussian noise of the nominal scale.
///
/// ```text
/// x_hat = x + s_noise sqrt(sigma_hat² - sigma²) eps,   eps ~ N(0, I)
/// ```
///
/// - `levels`: `sigma` of `x`, and `sigma_hat`, not below it, in units of the data.
/// - `s_noise`: factor on the noise; 1 keeps the law at D = ∞. At finite D the sum of a Student-t and a
///   Gaussian is no Student-t, and the law of the radius is lost.
/// - `rngs`: one generator a sample, which gives its N normals.
///
/// Source: Karras et al. 2022, algorithm 2.
///
/// # Errors
///
/// Failures of the tensor backend.
pub fn raise_gaussian(
    x: &Tensor,
    levels: [f64; 2],
    s_noise: f64,
    rngs: &mut [SampleRng],
) -> Result<Tensor> {
    let scales = vec![levels[0]; rngs.len()];
    add_noise(x, &scales, levels, s_noise, rngs)
}

/// Raises the noise level of `x` `[B, ...]` so that it keeps the law of the kernel at every D.
///
/// ```text
/// x_hat = x + s_noise s sqrt(sigma_hat²/sigma² - 1) eps,   eps ~ N(0, I)
/// s² ~ InvGamma((N+D)/2, (|x - denoised|² + D sigma²)/2)
/// ```
///
/// The noise of `x` is Gaussian of an unknown scale s; drawn from its posterior, s gives added noise of
/// the very scale that raises it by `sigma_hat/sigma`. At D = ∞, s is `sigma`, and this is
/// [`raise_gaussian`].
///
/// - `kernel`: N and D.
/// - `denoised`: the data behind `x` or an estimate, shape `[B, ...]`.
/// - `levels`, `s_noise`: as for [`raise_gaussian`].
/// - `rngs`: one generator a sample, which gives its s and then its N normals.
///
/// # Errors
///
/// Failures of the tensor backend.
pub fn raise_posterior(
    kernel: &Kernel,
    x: &Tensor,
    denoised: &Tensor,
    levels: [f64; 2],
    s_noise: f64,
    rngs: &mut [SampleRng],
) -> Result<Tensor> {
    let noise = (x - denoised)?.to_dtype(DType::F64)?;
    let distances = noise.sqr()?.flatten_from(1)?.sum(1)?.sqrt()?;
    let distances = distances.to_vec1::<f64>()?;
    let scales = distances.into_iter().zip(&mut *rngs);
    let scales =
        scales.map(|(distance, rng)| kernel.draw_posterior_scale(levels[0], distance, rng));
    let scales: Vec<f64> = scales.collect();
    add_noise(x, &scales, levels, s_noise, rngs)
}

/// Adds to each sample Gaussian noise that raises noise of its scale by the ratio of the levels.
fn add_noise(
    x: &Tensor,
    scales: &[f64],
    [sigma, sigma_hat]: [f64; 2],
    s_noise: f64,
    rngs: &mut [SampleRng],
) -> Result<Tensor> {
    let ratio = sigma_hat / sigma;
    // ratio² - 1 as a product: near 1 the difference of squares loses digits.
    let factor = s_noise * ((ratio - 1.0) * (ratio + 1.0)).sqrt();
    let deviations: Vec<f64> = scales.iter().map(|scale| factor * scale).collect();
    let eps = standard_normal(&x.dims()[1..], rngs, x.dtype(), x.device())?;
    x + eps.broadcast_mul(&column(&deviations, x)?)?
}
