//! A batch whose images are changed at random, each by its own generator.

use candle_core::{DType, Result, Tensor};
use pfgmpp_data::AugmentConfig;
use pfgmpp_kernel::SampleRng;
use rayon::prelude::*;

/// The images `y` `[B, C, H, W]` changed as `config` says, and what a network is told of it, `[B, label_dim]`; none for
/// a network that is told nothing. One of `rngs` an image.
pub(crate) fn augmented(
    config: &AugmentConfig,
    y: &Tensor,
    rngs: &mut [SampleRng],
) -> Result<(Tensor, Option<Tensor>)> {
    let (b, c, h, w) = y.dims4()?;
    let mut values = y.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    let label_dim = config.label_dim();
    let images = values.par_chunks_exact_mut(c * h * w);
    let labels: Vec<Vec<f32>> = images
        .zip(rngs.par_iter_mut())
        .map(|(image, rng)| {
            let mut labels = vec![0.0; label_dim];
            config.apply(image, [c, h, w], &mut labels, rng);
            labels
        })
        .collect();
    let images = Tensor::from_vec(values, y.shape(), y.device())?.to_dtype(y.dtype())?;
    let labels = match label_dim {
        0 => None,
        _ => Some(Tensor::from_vec(
            labels.concat(),
            (b, label_dim),
            y.device(),
        )?),
    };
    Ok((images, labels))
}
