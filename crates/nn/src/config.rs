//! The networks that a configuration can name.

use candle_core::Result;
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use crate::unet::unet_levels;
use crate::{
    DhariwalUNet, Mlp, MlpConfig, Network, Signature, SongUNet, SongUNetConfig, UNet2D,
    UNet2DConfig, UNetConfig,
};

/// An architecture and its sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkConfig {
    /// DDPM++ (Song et al. 2021, arXiv:2011.13456, as Karras et al. 2022 train it).
    Ddpmpp(UNetConfig),
    /// NCSN++ (the same sources).
    Ncsnpp(UNetConfig),
    /// Any network of the family of DDPM++ and NCSN++.
    SongUnet(SongUNetConfig),
    /// ADM (Dhariwal and Nichol 2021, arXiv:2105.05233, as Karras et al. 2022 train it).
    Adm(UNetConfig),
    /// The `UNet2DModel` of diffusers, whose parameters keep their names beneath `model`.
    #[serde(rename = "unet2d")]
    UNet2D(UNet2DConfig),
    /// Residual linear layers, for data of few dimensions.
    Mlp(MlpConfig),
}

impl NetworkConfig {
    /// Leaves out of `attn_resolutions` those that a network for images of `side` by `side` pixels does not have:
    /// they change nothing, and [`Self::build`] refuses them.
    pub fn forget_absent_resolutions(&mut self, side: usize) {
        match self {
            Self::Ddpmpp(sizes) | Self::Ncsnpp(sizes) | Self::Adm(sizes) => {
                let levels = sizes.channel_mult.len();
                retain_levels(&mut sizes.attn_resolutions, side, levels);
            }
            Self::SongUnet(config) => {
                let levels = config.channel_mult.len();
                retain_levels(&mut config.attn_resolutions, side, levels);
            }
            Self::UNet2D(_) | Self::Mlp(_) => {}
        }
    }

    /// Builds the network for the sizes of `signature` from the weights of `builder`.
    ///
    /// # Errors
    ///
    /// Sizes that do not fit each other or the images, weights that are missing or of another shape.
    pub fn build(&self, signature: Signature, builder: &VarBuilder) -> Result<Box<dyn Network>> {
        // Published state dicts hold the network as `model`, beneath its preconditioning.
        let builder = builder.pp("model");
        Ok(match self {
            Self::Ddpmpp(sizes) => {
                let config = SongUNetConfig::ddpmpp(sizes.clone());
                Box::new(SongUNet::new(&config, signature, &builder)?)
            }
            Self::Ncsnpp(sizes) => {
                let config = SongUNetConfig::ncsnpp(sizes.clone());
                Box::new(SongUNet::new(&config, signature, &builder)?)
            }
            Self::SongUnet(config) => Box::new(SongUNet::new(config, signature, &builder)?),
            Self::Adm(config) => Box::new(DhariwalUNet::new(config, signature, &builder)?),
            Self::UNet2D(config) => Box::new(UNet2D::new(config, signature, &builder)?),
            Self::Mlp(config) => Box::new(Mlp::new(config, signature, &builder)?),
        })
    }
}

fn retain_levels(resolutions: &mut Vec<usize>, side: usize, levels: usize) {
    resolutions.retain(|resolution| unet_levels(side, levels).any(|level| level == *resolution));
}
