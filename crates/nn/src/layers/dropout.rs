//! Dropout with a seed for each sample.

use candle_core::{Result, Tensor, bail};
use rand::Rng;

use crate::memory::Trace;
use crate::network::Mode;
use crate::ops;
use crate::parameters::stream;

/// Drops values with probability `p` and scales the others by `1 / (1 - p)`, in training only.
pub(crate) struct Dropout {
    p: f64,
    /// Name of the layer: with a sample's seed it selects the random stream.
    name: String,
}

impl Dropout {
    pub(crate) fn new(p: f64, name: String) -> Self {
        Self { p, name }
    }

    /// Counts what [`Self::forward`] gives of `values` values: a mask and a product.
    pub(crate) fn trace(&self, trace: &mut Trace, values: usize) {
        if self.p > 0.0 {
            trace.output_of_training(values);
            trace.output_of_training(values);
        }
    }

    /// `x [B, ...]`; a sample's mask depends on its seed and the layer's name alone.
    pub(crate) fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let Mode::Train { seeds } = mode else {
            return Ok(x.clone());
        };
        if self.p == 0.0 {
            return Ok(x.clone());
        }
        if seeds.len() != x.dim(0)? {
            bail!(
                "dropout needs a seed for each of {} samples, got {}",
                x.dim(0)?,
                seeds.len()
            );
        }
        let per_sample = x.elem_count() / seeds.len();
        let (keep, scale) = (
            ((1.0 - self.p) * 2f64.powi(32)) as u64,
            (1.0 / (1.0 - self.p)) as f32,
        );
        let mut mask = Vec::with_capacity(x.elem_count());
        for &seed in seeds {
            let mut rng = stream(seed, &self.name);
            mask.extend((0..per_sample).map(|_| {
                if u64::from(rng.next_u32()) < keep {
                    scale
                } else {
                    0.0
                }
            }));
        }
        let mask = Tensor::from_vec(mask, x.shape(), x.device())?.to_dtype(x.dtype())?;
        ops::scale_by(x, &mask)
    }
}
