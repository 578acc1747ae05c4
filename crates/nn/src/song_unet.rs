//! The U-Net of Song et al.: DDPM++, NCSN++ and what lies between.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use pfgmpp_kernel::ConditionSpec;

use crate::layers::{Conv2d, Mapping, MappingSpec, Scheme, Style};
use crate::memory::Trace;
use crate::network::{Context, Network, Signature};
use crate::ops;
use crate::tape::recorded;
use crate::unet::{Blueprint, DecoderLevel, EncoderLevel};

mod config;
mod pyramid;

pub use config::{DecoderType, EncoderType, ResampleFilter, SongUNetConfig};
use pyramid::{Descent, Head};

/// Offset of the variances.
const EPS: f64 = 1e-6;

/// DDPM++ (positional embedding, plain encoder and decoder), NCSN++ (Fourier embedding, residual encoder) or
/// another of their family.
///
/// Parameter names and shapes are those of the published networks.
///
/// Source: Song et al. 2021 (arXiv:2011.13456), as configured by Karras et al. 2022 (arXiv:2206.00364), table 1.
pub struct SongUNet {
    config: SongUNetConfig,
    signature: Signature,
    mapping: Mapping,
    first: Conv2d,
    encoder: Vec<(EncoderLevel, Option<Descent>)>,
    decoder: Vec<(DecoderLevel, Option<Head>)>,
}

impl SongUNet {
    /// Builds the network from parameters named relative to `vb`.
    ///
    /// # Errors
    ///
    /// A configuration that [`SongUNetConfig::check`] refuses, and parameters that are missing or of another shape.
    pub fn new(config: &SongUNetConfig, signature: Signature, vb: &VarBuilder) -> Result<Self> {
        config.check(&signature).map_err(candle_core::Error::wrap)?;
        let sizes = config.sizes();
        let blueprint = Blueprint {
            config: &sizes,
            side: signature.side().map_err(candle_core::Error::wrap)?,
            style: style(config),
            heads: |_| 1,
            attend_everywhere: false,
        };
        let spec = MappingSpec {
            noise: config.embedding_type,
            noise_channels: config.model_channels * config.channel_mult_noise,
            embedding: sizes.embedding(),
            label_dropout: config.label_dropout,
        };
        let (c_in, c) = (signature.in_channels, config.model_channels);
        let (enc, dec) = (vb.pp("enc"), vb.pp("dec"));
        let (encoder, skips) = blueprint.encoder(c, &enc)?;
        let name = &encoder[0].name;
        let init = Scheme::Song.layer(c_in, c, 3);
        let first = Conv2d::new(c_in, c, 3, init, &enc.pp(format!("{name}_conv")))?;
        Ok(Self {
            config: config.clone(),
            signature,
            mapping: Mapping::new(spec, &signature, vb)?,
            first,
            encoder: with_descents(config, encoder, c_in, &enc)?,
            decoder: with_heads(
                config,
                blueprint.decoder(skips, &dec)?,
                signature.out_channels,
                &dec,
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

    /// Counts what [`Network::forward`] gives of one sample; the embedding's few values are left out.
    pub(crate) fn trace(&self, trace: &mut Trace) {
        let Signature {
            in_channels,
            out_channels,
            resolution,
            ..
        } = self.signature;
        let mut pixels = resolution.iter().product();
        trace.output(in_channels * pixels);
        self.first.trace(trace, pixels);
        let mut skips = vec![self.first.c_out() * pixels];
        let mut c_aux = in_channels;
        for (level, descent) in &self.encoder {
            if let Some(down) = &level.down {
                pixels = down.trace(trace, pixels);
                if let Some(descent) = descent {
                    descent.trace(trace, c_aux, pixels);
                    c_aux = descent.c_aux(c_aux);
                }
                skips.push(down.c_out() * pixels);
            }
            level.trace(trace, pixels, &mut skips);
        }
        trace.wait(skips.iter().sum());
        let mut values = 0;
        let mut below = false;
        for (level, head) in &self.decoder {
            pixels = level.trace(trace, (pixels, values), &mut skips);
            values = level.c_out * pixels;
            if let Some(head) = head {
                head.trace(trace, pixels, below);
                below = true;
            }
        }
        trace.outcome(out_channels * pixels);
    }

    /// The network on channels-last images.
    fn evaluate(&self, input: &Tensor, c_noise: &Tensor, context: &Context) -> Result<Tensor> {
        let (e, mode) = (self.mapping.forward(c_noise, context)?, context.mode);
        let (mut x, mut aux) = (self.first.forward(input)?, input.clone());
        let mut skips = vec![x.clone()];
        for (level, descent) in &self.encoder {
            if let Some(down) = &level.down {
                x = down.forward(&x, &e, mode)?;
                if let Some(descent) = descent {
                    (x, aux) = descent.forward(&x, &aux)?;
                }
                skips.push(x.clone());
            }
            x = level.forward(x, &e, mode, &mut skips)?;
        }
        let mut image = None;
        for (level, head) in &self.decoder {
            x = level.forward(x, &e, mode, &mut skips)?;
            if let Some(head) = head {
                image = Some(head.forward(&x, image.as_ref())?);
            }
        }
        Ok(image.expect("the highest resolution has a head"))
    }
}

impl Network for SongUNet {
    fn takes(&self) -> ConditionSpec {
        ConditionSpec::classes(self.signature.label_dim)
    }

    fn forward(&self, x: &Tensor, c_noise: &Tensor, context: &Context) -> Result<Tensor> {
        self.signature.check_input(x, c_noise)?;
        let x = ops::to_channels_last(x)?;
        ops::to_channels_first(&recorded(|| self.evaluate(&x, c_noise, context))?)
    }
}

fn style(config: &SongUNetConfig) -> Style {
    Style {
        embedding: config.sizes().embedding(),
        eps: EPS,
        // Both branches of a sum have like variance, which this factor restores.
        skip_scale: std::f64::consts::FRAC_1_SQRT_2,
        adaptive_scale: false,
        resample_proj: true,
        filter: config.resample_filter.0,
        dropout: config.dropout,
        scheme: Scheme::Song,
    }
}

/// Each level with what the encoder adds behind its halving.
fn with_descents(
    config: &SongUNetConfig,
    levels: Vec<EncoderLevel>,
    c_input: usize,
    vb: &VarBuilder,
) -> Result<Vec<(EncoderLevel, Option<Descent>)>> {
    let (kind, filter, mut c_aux) = (config.encoder_type, config.resample_filter.0, c_input);
    let descent = |level: EncoderLevel| {
        let sizes = (c_aux, level.c_in);
        if level.down.is_none() {
            return Ok((level, None));
        }
        let descent = Descent::new(kind, filter, sizes, &level.name, vb)?;
        if kind == EncoderType::Residual {
            c_aux = level.c_in;
        }
        Ok((level, descent))
    };
    levels.into_iter().map(descent).collect()
}

/// Each level with the layers that give an image, where it has any: the last always, the others in a skip decoder.
fn with_heads(
    config: &SongUNetConfig,
    levels: Vec<DecoderLevel>,
    c_out: usize,
    vb: &VarBuilder,
) -> Result<Vec<(DecoderLevel, Option<Head>)>> {
    let (all, filter) = (
        config.decoder_type == DecoderType::Skip,
        config.resample_filter.0,
    );
    let last = levels.len() - 1;
    let head = |(i, level): (usize, DecoderLevel)| {
        let alone = i == 0 || !all;
        let head = || Head::new((level.c_out, c_out), filter, alone, &level.name, vb);
        let head = (all || i == last).then(head).transpose()?;
        Ok((level, head))
    };
    levels.into_iter().enumerate().map(head).collect()
}
