//! Gaussian noise of a batch: one generator per sample, drawn in parallel over samples.

use candle_core::{DType, Device, Tensor};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use crate::KernelError;

/// Standard normal noise of shape `[B, shape...]`, sample `b` drawn from `rngs[b]` alone.
///
/// The draws are `f64` and rounded once to `dtype`, so `f32` and `f64` noise of one seed agree. They
/// are made on the CPU whatever the device.
///
/// # Errors
///
/// [`KernelError::DType`] unless `dtype` is `f32` or `f64`, and failures of the tensor backend.
pub fn standard_normal<R: Rng + Send>(
    shape: &[usize],
    rngs: &mut [R],
    dtype: DType,
    device: &Device,
) -> Result<Tensor, KernelError> {
    scaled_noise(shape, rngs, dtype, device, |_, _| 1.0)
}

/// Noise `scale(b, rng) * eps` of shape `[B, shape...]`; each sample draws its scale before its eps.
pub(crate) fn scaled_noise<R: Rng + Send>(
    shape: &[usize],
    rngs: &mut [R],
    dtype: DType,
    device: &Device,
    scale: impl Fn(usize, &mut R) -> f64 + Sync,
) -> Result<Tensor, KernelError> {
    let n: usize = shape.iter().product();
    let mut batch_shape = vec![rngs.len()];
    batch_shape.extend_from_slice(shape);
    match dtype {
        DType::F32 => {
            let noise = draw(n, rngs, &scale, |value| value as f32);
            Ok(Tensor::from_vec(noise, batch_shape, device)?)
        }
        DType::F64 => {
            let noise = draw(n, rngs, &scale, |value| value);
            Ok(Tensor::from_vec(noise, batch_shape, device)?)
        }
        other => Err(KernelError::DType(other)),
    }
}

fn draw<R: Rng + Send, T: Copy + Default + Send>(
    n: usize,
    rngs: &mut [R],
    scale: &(impl Fn(usize, &mut R) -> f64 + Sync),
    round: impl Fn(f64) -> T + Sync,
) -> Vec<T> {
    let mut noise = vec![T::default(); rngs.len() * n];
    // A chunk of size zero is refused, and a sample without values needs no draw.
    noise
        .par_chunks_mut(n.max(1))
        .zip(rngs.par_iter_mut())
        .enumerate()
        .for_each(|(b, (values, rng))| {
            let scale = scale(b, rng);
            for value in values {
                let eps: f64 = StandardNormal.sample(rng);
                *value = round(scale * eps);
            }
        });
    noise
}
