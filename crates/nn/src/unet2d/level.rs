//! The levels of diffusers' `UNet2DModel`: blocks at one resolution, and what lies between two of them.

use std::f64::consts::SQRT_2;

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::attention::Attention;
use super::config::{LevelKind, ResampleType};
use super::resnet::{Resnet, ResnetSpec};
use super::{UNet2DConfig, conv};
use crate::layers::{Conv2d, GroupNorm, Resample};
use crate::memory::Trace;
use crate::network::Mode;
use crate::ops::{self, Activation, Conv2dConfig, Filter};

/// Groups of the attention in levels that have a skip of the image.
const SKIP_ATTENTION_GROUPS: usize = 32;
/// Values of a pixel in the skip of the image, whatever the images have.
const SKIP_CHANNELS: usize = 3;

/// Groups of a normalisation in levels that have a skip of the image.
fn skip_groups(channels: usize) -> usize {
    (channels / 4).min(32)
}

/// A residual block, with self-attention behind it or without.
pub(super) struct Layer {
    resnet: Resnet,
    attention: Option<Attention>,
}

impl Layer {
    pub(super) fn new(resnet: Resnet, attention: Option<Attention>) -> Self {
        Self { resnet, attention }
    }

    /// Channels that go out.
    pub(super) fn c_out(&self) -> usize {
        self.resnet.c_out()
    }

    /// Counts what [`Self::forward`] gives at `pixels` pixels.
    pub(super) fn trace(&self, trace: &mut Trace, pixels: usize) {
        trace.scope(self.c_out() * pixels, |trace| {
            self.resnet.trace(trace, pixels);
            if let Some(attention) = &self.attention {
                attention.trace(trace, self.c_out(), pixels);
            }
        });
    }

    pub(super) fn forward(&self, x: &Tensor, e: &Tensor, mode: Mode) -> Result<Tensor> {
        let out = self.resnet.forward(x, e, mode)?;
        match &self.attention {
            Some(attention) => attention.forward(&out),
            None => Ok(out),
        }
    }
}

/// What changes the resolution behind a level.
enum Change {
    None,
    Conv(Conv2d),
    Resnet(Resnet),
    /// The image itself comes along, smaller or larger.
    Skip {
        resnet: Resnet,
        conv: Conv2d,
        /// In front of the convolution, in the decoder.
        norm: Option<GroupNorm>,
    },
}

/// One resolution of the encoder or of the decoder.
pub(super) struct Level {
    layers: Vec<Layer>,
    /// Behind all layers.
    attention: Option<Attention>,
    change: Change,
    /// Whether the image itself comes along.
    skips: bool,
    downsample_padding: usize,
}

/// Builds the parts of one level.
pub(super) struct Builder<'a> {
    pub(super) config: &'a UNet2DConfig,
    pub(super) kind: LevelKind,
    pub(super) vb: VarBuilder<'a>,
    /// Whether the level is one of the decoder.
    pub(super) up: bool,
}

impl Builder<'_> {
    /// A level of blocks that take `c_in` channels beside those of a skip connection, and give `c_out`.
    ///
    /// - `blocks`: channels of what comes in and, beside it in the decoder, of the skip connection.
    /// - `last`: whether no level follows.
    pub(super) fn level(
        &self,
        blocks: &[(usize, usize)],
        c_out: usize,
        last: bool,
    ) -> Result<Level> {
        let kind = self.kind;
        let mut layers = Vec::new();
        for (j, &(c, c_skip)) in blocks.iter().enumerate() {
            let spec = self.block(c, c_skip, c_out);
            let resnet = Resnet::new(self.config, spec, &self.vb.pp("resnets").pp(j))?;
            // A decoder with a skip of the image attends once, behind all blocks.
            let attends = kind.attends && !(kind.skips && self.up);
            let attention = attends.then(|| self.attention(c_out, j)).transpose()?;
            layers.push(Layer::new(resnet, attention));
        }
        let behind = kind.attends && kind.skips && self.up;
        Ok(Level {
            layers,
            attention: behind.then(|| self.attention(c_out, 0)).transpose()?,
            change: match last {
                true => Change::None,
                false => self.change(c_out)?,
            },
            skips: kind.skips,
            downsample_padding: self.config.downsample_padding,
        })
    }

    fn block(&self, c: usize, c_skip: usize, c_out: usize) -> ResnetSpec {
        let plain = ResnetSpec::plain(self.config, c + c_skip, c_out);
        if !self.kind.skips {
            return plain;
        }
        // diffusers divides the second term only in levels of the decoder that attend.
        let first = match self.kind.attends && self.up {
            true => (c + c_skip / 4).min(32),
            false => skip_groups(c + c_skip),
        };
        ResnetSpec {
            groups: [first, skip_groups(c_out)],
            scale_factor: SQRT_2,
            ..plain
        }
    }

    fn attention(&self, c: usize, i: usize) -> Result<Attention> {
        let (groups, scale_factor) = match self.kind.skips {
            true => (SKIP_ATTENTION_GROUPS, SQRT_2),
            false => (self.config.norm_num_groups, 1.0),
        };
        let vb = self.vb.pp("attentions").pp(i);
        Attention::new(self.config, c, Some(groups), scale_factor, &vb)
    }

    fn change(&self, c: usize) -> Result<Change> {
        let name = if self.up {
            "upsamplers.0"
        } else {
            "downsamplers.0"
        };
        let resample = if self.up {
            Resample::Up
        } else {
            Resample::Down
        };
        let spec = ResnetSpec {
            resample,
            ..ResnetSpec::plain(self.config, c, c)
        };
        if self.kind.skips {
            let spec = ResnetSpec {
                groups: [skip_groups(c); 2],
                scale_factor: SQRT_2,
                filter: Filter::Binomial,
                projects: true,
                ..spec
            };
            return self.skip(c, spec);
        }
        match self.kind.resample {
            ResampleType::Conv => {
                let vb = self.vb.pp(name).pp("conv");
                Ok(Change::Conv(conv(c, c, 3, &vb)?))
            }
            ResampleType::Resnet => {
                let vb = self.vb.pp(name);
                Ok(Change::Resnet(Resnet::new(self.config, spec, &vb)?))
            }
        }
    }

    fn skip(&self, c: usize, spec: ResnetSpec) -> Result<Change> {
        let (vb, eps) = (&self.vb, self.config.norm_eps);
        if self.up {
            let norm = GroupNorm::with_groups(c, skip_groups(c), eps, &vb.pp("skip_norm"))?;
            return Ok(Change::Skip {
                resnet: Resnet::new(self.config, spec, &vb.pp("resnet_up"))?,
                conv: conv(c, SKIP_CHANNELS, 3, &vb.pp("skip_conv"))?,
                norm: Some(norm),
            });
        }
        Ok(Change::Skip {
            resnet: Resnet::new(self.config, spec, &vb.pp("resnet_down"))?,
            conv: conv(SKIP_CHANNELS, c, 1, &vb.pp("skip_conv"))?,
            norm: None,
        })
    }
}

/// What goes from level to level.
pub(super) struct Flow<'a> {
    pub(super) x: Tensor,
    /// The activated embedding, `[B, embedding]`.
    pub(super) e: &'a Tensor,
    pub(super) mode: Mode<'a>,
    /// The encoder's outputs that the decoder takes up, from the last.
    pub(super) skips: Vec<Tensor>,
    /// The image that comes along with levels that skip it: in the encoder the input, in the decoder the output so far.
    pub(super) image: Option<Tensor>,
}

impl Level {
    /// Counts what [`Self::descend`] gives of an image of so many pixels; returns those that it leaves.
    pub(super) fn trace_descent(
        &self,
        trace: &mut Trace,
        pixels: usize,
        skips: &mut Vec<usize>,
    ) -> usize {
        for layer in &self.layers {
            layer.trace(trace, pixels);
            skips.push(layer.c_out() * pixels);
        }
        let after = Resample::Down.pixels(pixels);
        let channels = match &self.change {
            Change::None => return pixels,
            Change::Conv(conv) => {
                conv.trace(trace, after);
                conv.c_out()
            }
            Change::Resnet(resnet) => {
                resnet.trace(trace, pixels);
                resnet.c_out()
            }
            Change::Skip { resnet, conv, .. } => {
                trace.scope(resnet.c_out() * after, |trace| {
                    resnet.trace(trace, pixels);
                    conv.trace(trace, after);
                    trace.output(conv.c_out() * after);
                });
                resnet.c_out()
            }
        };
        skips.push(channels * after);
        after
    }

    /// Counts what [`Self::ascend`] gives of an image of so many pixels and values, which it takes the place of;
    /// returns its own.
    pub(super) fn trace_ascent(
        &self,
        trace: &mut Trace,
        (pixels, mut values): (usize, usize),
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
        if let Some(attention) = &self.attention {
            trace.scope(values, |trace| {
                attention.trace(trace, values / pixels, pixels);
            });
            trace.free(values);
        }
        let after = Resample::Up.pixels(pixels);
        let channels = match &self.change {
            Change::None => return (pixels, values),
            Change::Conv(conv) => {
                trace.scope(conv.c_out() * after, |trace| {
                    trace.output(Resample::Up.pixels(values));
                    conv.trace(trace, after);
                });
                conv.c_out()
            }
            Change::Resnet(resnet) => {
                resnet.trace(trace, pixels);
                resnet.c_out()
            }
            Change::Skip { resnet, conv, .. } => {
                trace.scope(resnet.c_out() * after, |trace| {
                    trace.output(values);
                    conv.trace(trace, pixels);
                    resnet.trace(trace, pixels);
                });
                resnet.c_out()
            }
        };
        trace.free(values);
        (after, channels * after)
    }

    /// The level of the encoder.
    pub(super) fn descend(&self, flow: &mut Flow) -> Result<()> {
        for layer in &self.layers {
            flow.x = layer.forward(&flow.x, flow.e, flow.mode)?;
            flow.skips.push(flow.x.clone());
        }
        flow.x = match &self.change {
            Change::None => return Ok(()),
            Change::Conv(conv) => self.halve(&flow.x, conv)?,
            Change::Resnet(resnet) => resnet.forward(&flow.x, flow.e, flow.mode)?,
            Change::Skip { resnet, conv, .. } => {
                let h = resnet.forward(&flow.x, flow.e, flow.mode)?;
                let image = flow
                    .image
                    .as_ref()
                    .expect("the encoder begins with an image");
                let image = ops::downsample(image, Filter::Binomial)?;
                let x = ops::add_scaled(&conv.forward(&image)?, &h, 1.0)?;
                flow.image = Some(image);
                x
            }
        };
        flow.skips.push(flow.x.clone());
        Ok(())
    }

    /// A convolution of stride 2, with a row and a column of zeros behind the image in either case.
    fn halve(&self, x: &Tensor, conv: &Conv2d) -> Result<Tensor> {
        let config = Conv2dConfig {
            stride: 2,
            padding_before: self.downsample_padding,
            padding_after: 1,
            groups: 1,
        };
        conv.forward_with(x, config)
    }

    /// The level of the decoder, taking up the encoder's outputs from the last.
    pub(super) fn ascend(&self, flow: &mut Flow) -> Result<()> {
        for layer in &self.layers {
            let skip = flow.skips.pop().expect("the encoder has as many outputs");
            flow.x = layer.forward(&ops::concat(&flow.x, &skip)?, flow.e, flow.mode)?;
        }
        if let Some(attention) = &self.attention {
            flow.x = attention.forward(&flow.x)?;
        }
        if self.skips
            && let Some(image) = &flow.image
        {
            flow.image = Some(ops::upsample(image, Filter::Binomial)?);
        }
        flow.x = match &self.change {
            Change::None => return Ok(()),
            Change::Conv(conv) => conv.forward(&ops::upsample(&flow.x, Filter::Box)?)?,
            Change::Resnet(resnet) => resnet.forward(&flow.x, flow.e, flow.mode)?,
            Change::Skip { resnet, conv, norm } => {
                let norm = norm.as_ref().expect("the decoder has one");
                let part = conv.forward(&norm.forward(&flow.x, Activation::Silu)?)?;
                flow.image = Some(match &flow.image {
                    Some(image) => ops::add_scaled(image, &part, 1.0)?,
                    None => part,
                });
                resnet.forward(&flow.x, flow.e, flow.mode)?
            }
        };
        Ok(())
    }
}
