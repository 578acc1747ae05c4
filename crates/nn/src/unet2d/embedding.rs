//! The embedding of time step and label that every block of diffusers' `UNet2DModel` receives.

use std::f64::consts::LN_2;

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};

use super::config::{ClassEmbedType, TimeEmbeddingType};
use super::{UNet2DConfig, linear};
use crate::constants::PROJECTION;
use crate::layers::{Frequencies, Labels, Linear, beside, check_context};
use crate::network::Context;
use crate::ops;

/// What the blocks receive.
///
/// ```text
/// e = linear_2(silu(linear_1([sin, cos](c_noise)))) + class_embedding(label)
/// out = silu(e)
/// ```
///
/// A Fourier embedding takes the logarithm of the level, `c_noise + ln 2` where c_noise is that of VE, `ln(sigma/2)`.
pub(super) struct TimeEmbedding {
    projection: Projection,
    time: Mapping,
    labels: Labels,
    classes: Classes,
}

/// Two linear maps.
struct Mapping {
    linear_1: Linear,
    linear_2: Linear,
}

impl Mapping {
    fn new(n: usize, wide: usize, vb: &VarBuilder) -> Result<Self> {
        Ok(Self {
            linear_1: linear(n, wide, &vb.pp("linear_1"))?,
            linear_2: linear(wide, wide, &vb.pp("linear_2"))?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let h = ops::silu(&self.linear_1.forward(x)?)?;
        self.linear_2.forward(&h)
    }
}

/// Sines and cosines of a number.
struct Projection {
    frequencies: Frequencies,
    cosines_first: bool,
    /// What is added to the number before.
    offset: f64,
}

impl Projection {
    fn new(config: &UNet2DConfig, vb: &VarBuilder) -> Result<Self> {
        let c = config.block_out_channels[0];
        Ok(match config.time_embedding_type {
            TimeEmbeddingType::Positional => Self {
                frequencies: Frequencies::positional(
                    c,
                    config.freq_shift,
                    vb.dtype(),
                    vb.device(),
                )?,
                cosines_first: config.flip_sin_to_cos,
                offset: 0.0,
            },
            TimeEmbeddingType::Fourier => Self {
                frequencies: Frequencies::fourier_named(2 * c, PROJECTION, vb)?,
                cosines_first: false,
                offset: LN_2,
            },
        })
    }

    fn forward(&self, c_noise: &Tensor) -> Result<Tensor> {
        let (cos, sin) = self.frequencies.cos_sin(&(c_noise + self.offset)?)?;
        match self.cosines_first {
            true => beside(&cos, &sin),
            false => beside(&sin, &cos),
        }
    }
}

enum Classes {
    None,
    /// A row for each class, `[label_dim, embedding]`.
    Table(Tensor),
    /// The number of the class is embedded as a time step is.
    Numbered(Mapping),
}

impl TimeEmbedding {
    pub(super) fn new(config: &UNet2DConfig, label_dim: usize, vb: &VarBuilder) -> Result<Self> {
        let (n, wide) = (config.projected(), config.embedding());
        let standard = Init::Randn {
            mean: 0.0,
            stdev: 1.0,
        };
        let class = vb.pp("class_embedding");
        let classes = match (label_dim, config.class_embed_type) {
            (0, _) => Classes::None,
            (_, None) => {
                Classes::Table(class.get_with_hints((label_dim, wide), "weight", standard)?)
            }
            (_, Some(ClassEmbedType::Timestep)) => {
                Classes::Numbered(Mapping::new(n, wide, &class)?)
            }
        };
        Ok(Self {
            projection: Projection::new(config, vb)?,
            time: Mapping::new(n, wide, &vb.pp("time_embedding"))?,
            labels: Labels {
                label_dim,
                dropout: config.label_dropout,
            },
            classes,
        })
    }

    pub(super) fn forward(&self, c_noise: &Tensor, context: &Context) -> Result<Tensor> {
        check_context(context, self.labels.label_dim, 0)?;
        let e = self.time.forward(&self.projection.forward(c_noise)?)?;
        let e = match self.table(&e)? {
            Some(table) => {
                let labels = self.labels.of(context, &e)?;
                ops::add_scaled(&e, &labels.matmul(&table)?, 1.0)?
            }
            None => e,
        };
        ops::silu(&e)
    }

    /// A row for each class, `[label_dim, embedding]`.
    fn table(&self, like: &Tensor) -> Result<Option<Tensor>> {
        match &self.classes {
            Classes::None => Ok(None),
            Classes::Table(table) => Ok(Some(table.clone())),
            Classes::Numbered(mapping) => {
                let classes = self.labels.label_dim as u32;
                let numbers = Tensor::arange(0, classes, like.device())?.to_dtype(like.dtype())?;
                mapping
                    .forward(&self.projection.forward(&numbers)?)
                    .map(Some)
            }
        }
    }
}
