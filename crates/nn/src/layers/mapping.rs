//! The embedding of noise level, labels and augmentation that every block receives.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::embedding::{Frequencies, NoiseEmbedding, beside};
use super::labels::{Labels, check_context};
use super::{Linear, Scheme};
use crate::network::{Context, Signature};
use crate::ops;

/// Initial weights of the mapping.
const SCHEME: Scheme = Scheme::Song;

/// Sizes of a [`Mapping`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct MappingSpec {
    pub(crate) noise: NoiseEmbedding,
    /// Values of the noise level's own embedding.
    pub(crate) noise_channels: usize,
    /// Values of the result.
    pub(crate) embedding: usize,
    pub(crate) label_dropout: f64,
}

/// The mapping network of Song et al. 2021.
///
/// ```text
/// e = [sin, cos](c_noise) + map_label(sqrt(label_dim) labels) + map_augment(augment)
/// out = silu(map_layer1(silu(map_layer0(e))))
/// ```
pub(crate) struct Mapping {
    frequencies: Frequencies,
    labels: Labels,
    label: Option<Linear>,
    augment: Option<Linear>,
    layer0: Linear,
    layer1: Linear,
}

impl Mapping {
    pub(crate) fn new(spec: MappingSpec, signature: &Signature, vb: &VarBuilder) -> Result<Self> {
        let (c, wide) = (spec.noise_channels, spec.embedding);
        let frequencies = match spec.noise {
            NoiseEmbedding::Positional => Frequencies::positional(c, 1, vb.dtype(), vb.device())?,
            NoiseEmbedding::Fourier => Frequencies::fourier(c, &vb.pp("map_noise"))?,
        };
        let map = |n_in: usize, n_out: usize, name: &str| {
            Linear::new(n_in, n_out, SCHEME.layer(n_in, n_out, 1), &vb.pp(name))
        };
        let label = || map(signature.label_dim, c, "map_label");
        let augment_dim = signature.augment_dim;
        let augment = || {
            let weight = SCHEME.layer(augment_dim, c, 1).weight;
            Linear::without_bias(augment_dim, c, weight, &vb.pp("map_augment"))
        };
        Ok(Self {
            frequencies,
            labels: Labels {
                label_dim: signature.label_dim,
                dropout: spec.label_dropout,
            },
            label: (signature.label_dim > 0).then(label).transpose()?,
            augment: (augment_dim > 0).then(augment).transpose()?,
            layer0: map(c, wide, "map_layer0")?,
            layer1: map(wide, wide, "map_layer1")?,
        })
    }

    /// `c_noise [B]` to `[B, embedding]`.
    pub(crate) fn forward(&self, c_noise: &Tensor, context: &Context) -> Result<Tensor> {
        let augment_dim = self.augment.as_ref().map_or(0, Linear::n_in);
        check_context(context, self.labels.label_dim, augment_dim)?;
        let (cos, sin) = self.frequencies.cos_sin(c_noise)?;
        let mut e = beside(&sin, &cos)?;
        if let Some(map) = &self.label {
            let labels = self.labels.of(context, &e)?;
            let scaled = (labels * (self.labels.label_dim as f64).sqrt())?;
            e = ops::add_scaled(&e, &map.forward(&scaled)?, 1.0)?;
        }
        if let (Some(map), Some(augment)) = (&self.augment, context.augment) {
            e = ops::add_scaled(&e, &map.forward(augment)?, 1.0)?;
        }
        let e = ops::silu(&self.layer0.forward(&e)?)?;
        ops::silu(&self.layer1.forward(&e)?)
    }
}
