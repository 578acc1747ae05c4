//! The DDPM++ U-Net.

use std::collections::VecDeque;

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use crate::layers::{
    ALMOST_ZERO, Block, BlockSpec, Conv2d, GroupNorm, Mapping, MappingSpec, NoiseEmbedding,
    Resample,
};
use crate::network::{Condition, Network, Signature};
use crate::ops::{self, Activation};
use crate::tape::recorded;

mod config;

pub use config::SongUNetConfig;

/// Offset of the variances in the last normalisation.
const EPS: f64 = 1e-6;

/// DDPM++: a U-Net with a positional embedding of the noise level, and a plain encoder and decoder.
///
/// Parameter names and shapes are those of the published networks.
///
/// Source: Song et al. 2021 (arXiv:2011.13456), as configured by Karras et al. 2022 (arXiv:2206.00364), table 1.
pub struct SongUNet {
    config: SongUNetConfig,
    signature: Signature,
    mapping: Mapping,
    first: Conv2d,
    encoder: Vec<Block>,
    decoder: Vec<Block>,
    norm: GroupNorm,
    last: Conv2d,
}

impl SongUNet {
    /// Builds the network from parameters named relative to `vb`.
    ///
    /// # Errors
    ///
    /// A configuration that [`SongUNetConfig::check`] refuses, and parameters that are missing or of another shape.
    pub fn new(config: &SongUNetConfig, signature: Signature, vb: &VarBuilder) -> Result<Self> {
        config.check(&signature).map_err(candle_core::Error::wrap)?;
        let side = signature.side().map_err(candle_core::Error::wrap)?;
        let (resolution, c) = (side, config.model_channels);
        let enc = vb.pp("enc");
        let first = Conv2d::new(
            signature.in_channels,
            c,
            3,
            1.0,
            &enc.pp(format!("{resolution}x{resolution}_conv")),
        )?;
        let (encoder, skips) = encoder(config, resolution, &enc)?;
        let dec = vb.pp("dec");
        let decoder = decoder(config, resolution, skips, &dec)?;
        let c_last = c * config.channel_mult[0];
        let tail = |name: &str| dec.pp(format!("{resolution}x{resolution}_{name}"));
        Ok(Self {
            config: config.clone(),
            signature,
            mapping: Mapping::new(
                MappingSpec {
                    noise: NoiseEmbedding::Positional,
                    noise_channels: c,
                    embedding: config.embedding(),
                    label_dropout: config.label_dropout,
                },
                &signature,
                vb,
            )?,
            first,
            encoder,
            decoder,
            norm: GroupNorm::new(c_last, EPS, &tail("aux_norm"))?,
            last: Conv2d::new(
                c_last,
                signature.out_channels,
                3,
                ALMOST_ZERO,
                &tail("aux_conv"),
            )?,
        })
    }

    /// Hyperparameters that the network was built with.
    pub fn config(&self) -> &SongUNetConfig {
        &self.config
    }

    /// Sizes of what the network takes and gives.
    pub fn signature(&self) -> Signature {
        self.signature
    }

    /// The network on channels-last images.
    fn evaluate(&self, x: &Tensor, c_noise: &Tensor, condition: &Condition) -> Result<Tensor> {
        let e = self.mapping.forward(c_noise, condition)?;
        let mut x = self.first.forward(x)?;
        let mut skips = vec![x.clone()];
        for block in &self.encoder {
            x = block.forward(&x, &e, condition.mode)?;
            skips.push(x.clone());
        }
        for block in &self.decoder {
            if x.dim(3)? != block.c_in()
                && let Some(skip) = skips.pop()
            {
                x = ops::concat(&x, &skip)?;
            }
            x = block.forward(&x, &e, condition.mode)?;
        }
        self.last.forward(&self.norm.forward(&x, Activation::Silu)?)
    }
}

impl Network for SongUNet {
    fn forward(&self, x: &Tensor, c_noise: &Tensor, condition: &Condition) -> Result<Tensor> {
        self.signature.check_input(x, c_noise)?;
        let x = ops::to_channels_last(x)?;
        ops::to_channels_first(&recorded(|| self.evaluate(&x, c_noise, condition))?)
    }
}

/// The encoder's blocks, and the channels of the outputs that the decoder will take up (the first convolution's first).
fn encoder(
    config: &SongUNetConfig,
    resolution: usize,
    vb: &VarBuilder,
) -> Result<(Vec<Block>, VecDeque<usize>)> {
    let mut c = config.model_channels;
    let (mut blocks, mut skips) = (Vec::new(), VecDeque::from([c]));
    for (level, mult) in config.channel_mult.iter().enumerate() {
        let res = resolution >> level;
        if level > 0 {
            let spec = BlockSpec {
                resample: Resample::Down,
                ..config.block(c, c)
            };
            blocks.push(Block::new(spec, &vb.pp(format!("{res}x{res}_down")))?);
            skips.push_back(c);
        }
        for i in 0..config.num_blocks {
            let c_out = config.model_channels * mult;
            let spec = BlockSpec {
                attention: config.attn_resolutions.contains(&res),
                ..config.block(c, c_out)
            };
            blocks.push(Block::new(spec, &vb.pp(format!("{res}x{res}_block{i}")))?);
            c = c_out;
            skips.push_back(c);
        }
    }
    Ok((blocks, skips))
}

/// The decoder's blocks; `skips` holds the channels of the encoder's outputs.
fn decoder(
    config: &SongUNetConfig,
    resolution: usize,
    mut skips: VecDeque<usize>,
    vb: &VarBuilder,
) -> Result<Vec<Block>> {
    let levels = config.channel_mult.len();
    let mut c = config.model_channels * config.channel_mult[levels - 1];
    let mut blocks = Vec::new();
    for (level, mult) in config.channel_mult.iter().enumerate().rev() {
        let res = resolution >> level;
        let name = |name: &str| vb.pp(format!("{res}x{res}_{name}"));
        let same = config.block(c, c);
        if level == levels - 1 {
            let attentive = BlockSpec {
                attention: true,
                ..same
            };
            blocks.push(Block::new(attentive, &name("in0"))?);
            blocks.push(Block::new(same, &name("in1"))?);
        } else {
            let up = BlockSpec {
                resample: Resample::Up,
                ..same
            };
            blocks.push(Block::new(up, &name("up"))?);
        }
        for i in 0..=config.num_blocks {
            let c_skip = skips
                .pop_back()
                .expect("as many outputs as the decoder takes up");
            let c_out = config.model_channels * mult;
            let attention = i == config.num_blocks && config.attn_resolutions.contains(&res);
            let spec = BlockSpec {
                attention,
                ..config.block(c + c_skip, c_out)
            };
            blocks.push(Block::new(spec, &name(&format!("block{i}")))?);
            c = c_out;
        }
    }
    Ok(blocks)
}
