//! The U-Net of diffusers: `UNet2DModel`.

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};
use pfgmpp_kernel::ConditionSpec;

use crate::layers::{Conv2d, Frequencies, GroupNorm, Labels, Linear, beside, check_context};
use crate::memory::Trace;
use crate::network::{Context, Mode, Network, Signature};
use crate::ops::{self, Activation, Conv2dConfig, Filter};
use crate::tape::recorded;

mod blocks;
mod config;

use blocks::{Layer, conv, linear, norm};
pub use config::{DownBlockType, UNet2DConfig, UpBlockType};

/// The unconditional or class-conditional U-Net of diffusers, as DDPM checkpoints on the Hub hold it.
///
/// `c_noise` is the time step that these models are trained with, 0 to 999. Parameter names and shapes are
/// diffusers' own.
///
/// Source: Ho et al. 2020 (arXiv:2006.11239), in the form of the `UNet2DModel` of diffusers (Apache-2.0).
pub struct UNet2D {
    config: UNet2DConfig,
    signature: Signature,
    embedding: TimeEmbedding,
    conv_in: Conv2d,
    down: Vec<Level>,
    middle: [Layer; 2],
    up: Vec<Level>,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
}

/// One resolution of the encoder or of the decoder.
struct Level {
    layers: Vec<Layer>,
    /// The convolution beside a change of resolution; the last level has none.
    resample: Option<Conv2d>,
}

impl UNet2D {
    /// Builds the network from parameters named relative to `vb`.
    ///
    /// # Errors
    ///
    /// A configuration that [`UNet2DConfig::check`] refuses, and parameters that are missing or of another shape.
    pub fn new(config: &UNet2DConfig, signature: Signature, vb: &VarBuilder) -> Result<Self> {
        config.check(&signature).map_err(candle_core::Error::wrap)?;
        let channels = &config.block_out_channels;
        let (first, last) = (channels[0], channels[channels.len() - 1]);
        let (down, skips) = encoder(config, &vb.pp("down_blocks"))?;
        let middle = |i: usize, attends: bool| {
            Layer::new(config, (last, last), i, attends, &vb.pp("mid_block"))
        };
        Ok(Self {
            config: config.clone(),
            signature,
            embedding: TimeEmbedding::new(config, signature.label_dim, vb)?,
            conv_in: conv(signature.in_channels, first, 3, &vb.pp("conv_in"))?,
            down,
            middle: [middle(0, config.add_attention)?, middle(1, false)?],
            up: decoder(config, skips, &vb.pp("up_blocks"))?,
            conv_norm_out: norm(config, first, &vb.pp("conv_norm_out"))?,
            conv_out: conv(first, signature.out_channels, 3, &vb.pp("conv_out"))?,
        })
    }

    /// Sizes of what the network takes and gives.
    pub fn signature(&self) -> Signature {
        self.signature
    }

    /// Counts what [`Network::forward`] gives of one sample; the embedding's few values are left out.
    pub(crate) fn trace(&self, trace: &mut Trace) {
        let mut pixels = self.signature.resolution.iter().product();
        trace.output(self.signature.in_channels * pixels);
        self.conv_in.trace(trace, pixels);
        let mut skips = vec![self.conv_in.c_out() * pixels];
        for level in &self.down {
            for layer in &level.layers {
                layer.trace(trace, pixels);
                skips.push(layer.c_out() * pixels);
            }
            if let Some(conv) = &level.resample {
                pixels /= 4;
                conv.trace(trace, pixels);
                skips.push(conv.c_out() * pixels);
            }
        }
        trace.wait(skips.iter().sum());
        let mut values = 0;
        for layer in &self.middle {
            layer.trace(trace, pixels);
            trace.free(values);
            values = layer.c_out() * pixels;
        }
        for level in &self.up {
            (pixels, values) = level.trace_ascent(trace, (pixels, values), &mut skips);
        }
        trace.output(values);
        self.conv_out.trace(trace, pixels);
        trace.outcome(self.signature.out_channels * pixels);
    }

    /// The network on channels-last images.
    fn evaluate(&self, x: &Tensor, c_noise: &Tensor, context: &Context) -> Result<Tensor> {
        let (e, mode) = (self.embedding.forward(c_noise, context)?, context.mode);
        let mut x = self.conv_in.forward(x)?;
        let mut skips = vec![x.clone()];
        for level in &self.down {
            for layer in &level.layers {
                x = layer.forward(&x, &e, mode)?;
                skips.push(x.clone());
            }
            if let Some(conv) = &level.resample {
                x = self.halve(&x, conv)?;
                skips.push(x.clone());
            }
        }
        for layer in &self.middle {
            x = layer.forward(&x, &e, mode)?;
        }
        for level in &self.up {
            x = level.ascend(x, &e, mode, &mut skips)?;
        }
        self.conv_out
            .forward(&self.conv_norm_out.forward(&x, Activation::Silu)?)
    }

    /// A convolution of stride 2, with a row and a column of zeros behind the image in either case.
    fn halve(&self, x: &Tensor, conv: &Conv2d) -> Result<Tensor> {
        let config = Conv2dConfig {
            stride: 2,
            padding_before: self.config.downsample_padding,
            padding_after: 1,
            groups: 1,
        };
        conv.forward_with(x, config)
    }
}

impl Network for UNet2D {
    fn takes(&self) -> ConditionSpec {
        ConditionSpec::classes(self.signature.label_dim)
    }

    fn forward(&self, x: &Tensor, c_noise: &Tensor, context: &Context) -> Result<Tensor> {
        self.signature.check_input(x, c_noise)?;
        let x = ops::to_channels_last(x)?;
        ops::to_channels_first(&recorded(|| self.evaluate(&x, c_noise, context))?)
    }
}

impl Level {
    /// Counts what [`Self::ascend`] gives of an image of so many pixels and values, which it takes the place of;
    /// returns its own.
    fn trace_ascent(
        &self,
        trace: &mut Trace,
        (mut pixels, mut values): (usize, usize),
        skips: &mut Vec<usize>,
    ) -> (usize, usize) {
        for layer in &self.layers {
            let skip = skips.pop().expect("the encoder has as many outputs");
            trace.scope(layer.c_out() * pixels, |trace| {
                trace.output(values + skip);
                layer.trace(trace, pixels);
            });
            trace.free(values + skip);
            values = layer.c_out() * pixels;
        }
        if let Some(conv) = &self.resample {
            pixels *= 4;
            trace.scope(conv.c_out() * pixels, |trace| {
                trace.output(4 * values);
                conv.trace(trace, pixels);
            });
            trace.free(values);
            values = conv.c_out() * pixels;
        }
        (pixels, values)
    }

    /// The level of the decoder, taking up the encoder's outputs from the last.
    fn ascend(
        &self,
        mut x: Tensor,
        e: &Tensor,
        mode: Mode,
        skips: &mut Vec<Tensor>,
    ) -> Result<Tensor> {
        for layer in &self.layers {
            let skip = skips.pop().expect("the encoder has as many outputs");
            x = layer.forward(&ops::concat(&x, &skip)?, e, mode)?;
        }
        match &self.resample {
            Some(conv) => conv.forward(&ops::upsample(&x, Filter::Box)?),
            None => Ok(x),
        }
    }
}

/// The encoder behind the first convolution, and the channels of the outputs that the decoder takes up.
fn encoder(config: &UNet2DConfig, vb: &VarBuilder) -> Result<(Vec<Level>, Vec<usize>)> {
    let mut c = config.block_out_channels[0];
    let (mut levels, mut skips) = (Vec::new(), vec![c]);
    for (i, (&c_out, kind)) in
        std::iter::zip(&config.block_out_channels, &config.down_block_types).enumerate()
    {
        let (vb, attends) = (vb.pp(i), *kind == DownBlockType::AttnDownBlock2D);
        let mut layers = Vec::new();
        for j in 0..config.layers_per_block {
            layers.push(Layer::new(config, (c, c_out), j, attends, &vb)?);
            c = c_out;
            skips.push(c);
        }
        let resample = || conv(c, c, 3, &vb.pp("downsamplers.0.conv"));
        let resample = (i + 1 < config.block_out_channels.len()).then(resample);
        if resample.is_some() {
            skips.push(c);
        }
        levels.push(Level {
            layers,
            resample: resample.transpose()?,
        });
    }
    Ok((levels, skips))
}

/// The decoder, from the lowest resolution; `skips` holds the channels of the encoder's outputs.
fn decoder(config: &UNet2DConfig, mut skips: Vec<usize>, vb: &VarBuilder) -> Result<Vec<Level>> {
    let channels = &config.block_out_channels;
    let mut c = channels[channels.len() - 1];
    let mut levels = Vec::new();
    for (i, (&c_out, kind)) in
        std::iter::zip(channels.iter().rev(), &config.up_block_types).enumerate()
    {
        let (vb, attends) = (vb.pp(i), *kind == UpBlockType::AttnUpBlock2D);
        let mut layers = Vec::new();
        for j in 0..=config.layers_per_block {
            let c_skip = skips.pop().expect("the encoder has as many outputs");
            layers.push(Layer::new(config, (c + c_skip, c_out), j, attends, &vb)?);
            c = c_out;
        }
        let resample = || conv(c, c, 3, &vb.pp("upsamplers.0.conv"));
        levels.push(Level {
            layers,
            resample: (i + 1 < channels.len()).then(resample).transpose()?,
        });
    }
    Ok(levels)
}

/// The embedding of time step and label that every block receives.
///
/// ```text
/// e = linear_2(silu(linear_1([sin, cos](c_noise)))) + class_embedding(label)
/// out = silu(e)
/// ```
struct TimeEmbedding {
    frequencies: Frequencies,
    flip_sin_to_cos: bool,
    linear_1: Linear,
    linear_2: Linear,
    labels: Labels,
    /// Shape `[label_dim, embedding]`.
    class_embedding: Option<Tensor>,
}

impl TimeEmbedding {
    fn new(config: &UNet2DConfig, label_dim: usize, vb: &VarBuilder) -> Result<Self> {
        let (c, wide) = (config.block_out_channels[0], config.embedding());
        let standard = Init::Randn {
            mean: 0.0,
            stdev: 1.0,
        };
        let classes = || {
            vb.pp("class_embedding")
                .get_with_hints((label_dim, wide), "weight", standard)
        };
        let time = vb.pp("time_embedding");
        Ok(Self {
            frequencies: Frequencies::positional(c, config.freq_shift, vb.dtype(), vb.device())?,
            flip_sin_to_cos: config.flip_sin_to_cos,
            linear_1: linear(c, wide, &time.pp("linear_1"))?,
            linear_2: linear(wide, wide, &time.pp("linear_2"))?,
            labels: Labels {
                label_dim,
                dropout: config.label_dropout,
            },
            class_embedding: (label_dim > 0).then(classes).transpose()?,
        })
    }

    fn forward(&self, c_noise: &Tensor, context: &Context) -> Result<Tensor> {
        check_context(context, self.labels.label_dim, 0)?;
        let (cos, sin) = self.frequencies.cos_sin(c_noise)?;
        let e = if self.flip_sin_to_cos {
            beside(&cos, &sin)?
        } else {
            beside(&sin, &cos)?
        };
        let e = ops::silu(&self.linear_1.forward(&e)?)?;
        let mut e = self.linear_2.forward(&e)?;
        if let Some(weight) = &self.class_embedding {
            let labels = self.labels.of(context, &e)?;
            e = ops::add_scaled(&e, &labels.matmul(weight)?, 1.0)?;
        }
        ops::silu(&e)
    }
}
