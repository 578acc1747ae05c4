//! The U-Net of diffusers: `UNet2DModel`.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use pfgmpp_kernel::ConditionSpec;

use crate::layers::{Conv2d, GroupNorm, Linear, Scheme};
use crate::memory::Trace;
use crate::network::{Context, Network, Signature};
use crate::ops::{self, Activation};
use crate::tape::recorded;

mod attention;
mod config;
mod embedding;
mod level;
mod resnet;

use attention::Attention;
pub use config::{
    ClassEmbedType, DownBlockType, ResampleType, TimeEmbeddingType, TimeScaleShift, UNet2DConfig,
    UpBlockType,
};
use embedding::TimeEmbedding;
use level::{Builder, Flow, Layer, Level};
use resnet::{Resnet, ResnetSpec};

/// The unconditional or class-conditional U-Net of diffusers, as DDPM checkpoints on the Hub hold it.
///
/// `c_noise` is the time step that these models are trained with, 0 to 999; for a Fourier embedding it is
/// `ln(sigma/2)`, and the output is that of diffusers times sigma. Parameter names and shapes are diffusers' own.
///
/// Source: Ho et al. 2020 (arXiv:2006.11239), in the form of the `UNet2DModel` of diffusers (Apache-2.0); levels with a
/// skip of the image are those of Song et al. 2021 (arXiv:2011.13456), those that change resolution by residual
/// blocks of Dhariwal and Nichol 2021 (arXiv:2105.05233).
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

impl UNet2D {
    /// Builds the network from parameters named relative to `vb`.
    ///
    /// # Errors
    ///
    /// A configuration that [`UNet2DConfig::check`] refuses, and parameters that are missing or of another shape.
    pub fn new(config: &UNet2DConfig, signature: Signature, vb: &VarBuilder) -> Result<Self> {
        config.check(&signature).map_err(candle_core::Error::wrap)?;
        let first = config.block_out_channels[0];
        let (down, skips) = encoder(config, &vb.pp("down_blocks"))?;
        let norm = |vb: &VarBuilder| {
            GroupNorm::with_groups(first, config.norm_num_groups, config.norm_eps, vb)
        };
        Ok(Self {
            config: config.clone(),
            signature,
            embedding: TimeEmbedding::new(config, signature.label_dim, vb)?,
            conv_in: conv(signature.in_channels, first, 3, &vb.pp("conv_in"))?,
            down,
            middle: middle(config, &vb.pp("mid_block"))?,
            up: decoder(config, skips, &vb.pp("up_blocks"))?,
            conv_norm_out: norm(&vb.pp("conv_norm_out"))?,
            conv_out: conv(first, signature.out_channels, 3, &vb.pp("conv_out"))?,
        })
    }

    /// Sizes of what the network takes and gives.
    pub fn signature(&self) -> Signature {
        self.signature
    }

    /// Counts what [`Network::forward`] gives of one sample; the embedding's few values and the image that comes
    /// along with levels that skip it are left out.
    pub(crate) fn trace(&self, trace: &mut Trace) {
        let mut pixels = self.signature.resolution.iter().product();
        trace.output(self.signature.in_channels * pixels);
        self.conv_in.trace(trace, pixels);
        let mut skips = vec![self.conv_in.c_out() * pixels];
        for level in &self.down {
            pixels = level.trace_descent(trace, pixels, &mut skips);
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
        let e = self.embedding.forward(c_noise, context)?;
        let x = match self.config.center_input_sample {
            true => x.affine(2.0, -1.0)?,
            false => x.clone(),
        };
        let first = self.conv_in.forward(&x)?;
        let mut flow = Flow {
            skips: vec![first.clone()],
            x: first,
            e: &e,
            mode: context.mode,
            image: Some(x),
        };
        for level in &self.down {
            level.descend(&mut flow)?;
        }
        for layer in &self.middle {
            flow.x = layer.forward(&flow.x, &e, context.mode)?;
        }
        flow.image = None;
        for level in &self.up {
            level.ascend(&mut flow)?;
        }
        let h = self.conv_norm_out.forward(&flow.x, Activation::Silu)?;
        let out = self.conv_out.forward(&h)?;
        match &flow.image {
            Some(image) => ops::add_scaled(&out, image, 1.0),
            None => Ok(out),
        }
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

/// A convolution of this network.
fn conv(c_in: usize, c_out: usize, kernel: usize, vb: &VarBuilder) -> Result<Conv2d> {
    let init = Scheme::Adm.layer(c_in, c_out, kernel);
    Conv2d::new(c_in, c_out, kernel, init, vb)
}

/// A linear map of this network.
fn linear(n_in: usize, n_out: usize, vb: &VarBuilder) -> Result<Linear> {
    Linear::new(n_in, n_out, Scheme::Adm.layer(n_in, n_out, 1), vb)
}

/// The encoder behind the first convolution, and the channels of the outputs that the decoder takes up.
fn encoder(config: &UNet2DConfig, vb: &VarBuilder) -> Result<(Vec<Level>, Vec<usize>)> {
    let channels = &config.block_out_channels;
    let mut c = channels[0];
    let (mut levels, mut skips) = (Vec::new(), vec![c]);
    for (i, (&c_out, kind)) in channels.iter().zip(&config.down_block_types).enumerate() {
        let builder = Builder {
            config,
            kind: kind.level(config.downsample_type),
            vb: vb.pp(i),
            up: false,
        };
        let blocks: Vec<(usize, usize)> = (0..config.layers_per_block)
            .map(|j| (if j == 0 { c } else { c_out }, 0))
            .collect();
        let last = i + 1 == channels.len();
        levels.push(builder.level(&blocks, c_out, last)?);
        c = c_out;
        skips.extend(vec![c; blocks.len() + usize::from(!last)]);
    }
    Ok((levels, skips))
}

/// The middle: two residual blocks, the first with attention or without.
fn middle(config: &UNet2DConfig, vb: &VarBuilder) -> Result<[Layer; 2]> {
    let c = config.block_out_channels[config.block_out_channels.len() - 1];
    let scale_factor = config.mid_block_scale_factor;
    let spec = ResnetSpec {
        scale_factor,
        ..ResnetSpec::plain(config, c, c)
    };
    let resnet = |i: usize| Resnet::new(config, spec, &vb.pp("resnets").pp(i));
    let groups = config.attn_norm_num_groups.or_else(|| {
        // Without a number of its own, only this kind has a normalisation there.
        let plain = config.resnet_time_scale_shift == TimeScaleShift::Default;
        plain.then_some(config.norm_num_groups)
    });
    let attention = || Attention::new(config, c, groups, scale_factor, &vb.pp("attentions.0"));
    let attention = config.add_attention.then(attention).transpose()?;
    Ok([
        Layer::new(resnet(0)?, attention),
        Layer::new(resnet(1)?, None),
    ])
}

/// The decoder, from the lowest resolution; `skips` holds the channels of the encoder's outputs.
fn decoder(config: &UNet2DConfig, mut skips: Vec<usize>, vb: &VarBuilder) -> Result<Vec<Level>> {
    let channels = &config.block_out_channels;
    let mut c = channels[channels.len() - 1];
    let mut levels = Vec::new();
    let outward = channels.iter().rev().zip(&config.up_block_types);
    for (i, (&c_out, kind)) in outward.enumerate() {
        let builder = Builder {
            config,
            kind: kind.level(config.upsample_type),
            vb: vb.pp(i),
            up: true,
        };
        let blocks: Vec<(usize, usize)> = (0..=config.layers_per_block)
            .map(|j| {
                let skip = skips.pop().expect("the encoder has as many outputs");
                (if j == 0 { c } else { c_out }, skip)
            })
            .collect();
        levels.push(builder.level(&blocks, c_out, i + 1 == channels.len())?);
        c = c_out;
    }
    Ok(levels)
}
