//! The networks that a configuration can name.

use candle_core::{Result, bail};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use crate::{Network, Signature, SongUNet, SongUNetConfig};

/// An architecture and its sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkConfig {
    /// DDPM++ (Song et al. 2021, arXiv:2011.13456, as Karras et al. 2022 train it).
    Ddpmpp(SongUNetConfig),
}

impl NetworkConfig {
    /// Builds the network for images of `shape` `[C, H, W]` from the weights of `builder`.
    ///
    /// # Errors
    ///
    /// Sizes that do not fit each other or the images, weights that are missing or of another shape.
    pub fn build(&self, shape: [usize; 3], builder: &VarBuilder) -> Result<Box<dyn Network>> {
        let [channels, height, width] = shape;
        if height != width {
            bail!("images must be square, got {height}x{width}");
        }
        let signature = Signature {
            resolution: height,
            channels,
            label_dim: 0,
            augment_dim: 0,
        };
        // Published state dicts hold the network as `model`, beneath its preconditioning.
        let builder = builder.pp("model");
        Ok(match self {
            Self::Ddpmpp(config) => Box::new(SongUNet::new(config, signature, &builder)?),
        })
    }
}
