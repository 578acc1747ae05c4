//! The encoder and the decoder that DDPM++, NCSN++ and ADM have in common.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use crate::layers::{Block, BlockSpec, Resample, Style};
use crate::memory::Trace;
use crate::network::Mode;
use crate::ops;

mod config;

pub use config::UNetConfig;
pub(crate) use config::unet_levels;

/// What the blocks of a U-Net are built from.
pub(crate) struct Blueprint<'a> {
    pub(crate) config: &'a UNetConfig,
    /// Height and width of the images.
    pub(crate) side: usize,
    pub(crate) style: Style,
    /// Heads of a self-attention among so many channels.
    pub(crate) heads: fn(usize) -> usize,
    /// Whether every block of the decoder at an `attn_resolutions` attends, or the last one only.
    pub(crate) attend_everywhere: bool,
}

/// One resolution of the encoder.
pub(crate) struct EncoderLevel {
    /// Halves the resolution; the first level has none.
    pub(crate) down: Option<Block>,
    pub(crate) blocks: Vec<Block>,
    /// Channels that come in, and that `down` gives.
    pub(crate) c_in: usize,
    /// Start of the names of its layers.
    pub(crate) name: String,
}

/// One resolution of the decoder.
pub(crate) struct DecoderLevel {
    /// Two blocks at the lowest resolution, one that doubles the resolution at the others.
    pub(crate) entry: Vec<Block>,
    /// Each takes up an output of the encoder.
    pub(crate) blocks: Vec<Block>,
    /// Channels that go out.
    pub(crate) c_out: usize,
    /// Start of the names of its layers.
    pub(crate) name: String,
}

impl Blueprint<'_> {
    /// The encoder behind a first convolution to `c` channels, and the channels of the outputs that the
    /// decoder takes up.
    pub(crate) fn encoder(
        &self,
        mut c: usize,
        vb: &VarBuilder,
    ) -> Result<(Vec<EncoderLevel>, Vec<usize>)> {
        let (mut levels, mut skips) = (Vec::new(), vec![c]);
        for (level, mult) in self.config.channel_mult.iter().enumerate() {
            let (c_in, c_out) = (c, mult * self.config.model_channels);
            let name = self.name(level);
            let down = || self.block((c, c), Resample::Down, 0, &vb.pp(format!("{name}_down")));
            let down = (level > 0).then(down).transpose()?;
            if level > 0 {
                skips.push(c);
            }
            let mut blocks = Vec::new();
            for i in 0..self.config.num_blocks {
                let heads = self.heads_at(level, c_out);
                let vb = vb.pp(format!("{name}_block{i}"));
                blocks.push(self.block((c, c_out), Resample::None, heads, &vb)?);
                c = c_out;
                skips.push(c);
            }
            levels.push(EncoderLevel {
                down,
                blocks,
                c_in,
                name,
            });
        }
        Ok((levels, skips))
    }

    /// The decoder, from the lowest resolution; `skips` holds the channels of the encoder's outputs.
    pub(crate) fn decoder(
        &self,
        mut skips: Vec<usize>,
        vb: &VarBuilder,
    ) -> Result<Vec<DecoderLevel>> {
        let config = self.config;
        let lowest = config.channel_mult.len() - 1;
        let mut c = config.model_channels * config.channel_mult[lowest];
        let mut levels = Vec::new();
        for (level, mult) in config.channel_mult.iter().enumerate().rev() {
            let name = self.name(level);
            let at = |part: &str| vb.pp(format!("{name}_{part}"));
            let entry = if level == lowest {
                vec![
                    self.block((c, c), Resample::None, (self.heads)(c), &at("in0"))?,
                    self.block((c, c), Resample::None, 0, &at("in1"))?,
                ]
            } else {
                vec![self.block((c, c), Resample::Up, 0, &at("up"))?]
            };
            let c_out = config.model_channels * mult;
            let mut blocks = Vec::new();
            for i in 0..=config.num_blocks {
                let c_skip = skips.pop().expect("the encoder has as many outputs");
                let attends = self.attend_everywhere || i == config.num_blocks;
                let heads = if attends {
                    self.heads_at(level, c_out)
                } else {
                    0
                };
                let vb = at(&format!("block{i}"));
                blocks.push(self.block((c + c_skip, c_out), Resample::None, heads, &vb)?);
                c = c_out;
            }
            levels.push(DecoderLevel {
                entry,
                blocks,
                c_out,
                name,
            });
        }
        Ok(levels)
    }

    fn block(
        &self,
        (c_in, c_out): (usize, usize),
        resample: Resample,
        heads: usize,
        vb: &VarBuilder,
    ) -> Result<Block> {
        let spec = BlockSpec {
            c_in,
            c_out,
            resample,
            heads,
        };
        Block::new(spec, self.style, vb)
    }

    fn heads_at(&self, level: usize, channels: usize) -> usize {
        let attends = self.config.attn_resolutions.contains(&(self.side >> level));
        if attends { (self.heads)(channels) } else { 0 }
    }

    fn name(&self, level: usize) -> String {
        let side = self.side >> level;
        format!("{side}x{side}")
    }
}

impl EncoderLevel {
    /// Runs the blocks behind `down`, keeping every output.
    pub(crate) fn forward(
        &self,
        mut x: Tensor,
        e: &Tensor,
        mode: Mode,
        skips: &mut Vec<Tensor>,
    ) -> Result<Tensor> {
        for block in &self.blocks {
            x = block.forward(&x, e, mode)?;
            skips.push(x.clone());
        }
        Ok(x)
    }
}

impl EncoderLevel {
    /// Counts what [`Self::forward`] gives, all of which stays, and adds its sizes to `skips`.
    pub(crate) fn trace(&self, trace: &mut Trace, pixels: usize, skips: &mut Vec<usize>) {
        for block in &self.blocks {
            block.trace(trace, pixels);
            skips.push(block.c_out() * pixels);
        }
    }
}

impl DecoderLevel {
    /// Counts what [`Self::forward`] gives of an image of `pixels` pixels and `values` values, which it takes the
    /// place of; returns its pixels.
    pub(crate) fn trace(
        &self,
        trace: &mut Trace,
        (mut pixels, mut values): (usize, usize),
        skips: &mut Vec<usize>,
    ) -> usize {
        for block in &self.entry {
            pixels = block.trace(trace, pixels);
            trace.free(values);
            values = block.c_out() * pixels;
        }
        for block in &self.blocks {
            let skip = skips.pop().expect("the encoder has as many outputs");
            trace.scope(block.c_out() * pixels, |trace| {
                trace.output(values + skip);
                block.trace(trace, pixels);
            });
            trace.free(values + skip);
            values = block.c_out() * pixels;
        }
        pixels
    }
}

impl DecoderLevel {
    /// Runs all blocks, taking up the encoder's outputs from the last.
    pub(crate) fn forward(
        &self,
        mut x: Tensor,
        e: &Tensor,
        mode: Mode,
        skips: &mut Vec<Tensor>,
    ) -> Result<Tensor> {
        for block in &self.entry {
            x = block.forward(&x, e, mode)?;
        }
        for block in &self.blocks {
            let skip = skips.pop().expect("the encoder has as many outputs");
            x = block.forward(&ops::concat(&x, &skip)?, e, mode)?;
        }
        Ok(x)
    }
}
