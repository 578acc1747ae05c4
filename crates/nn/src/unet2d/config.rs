//! Configuration of the `UNet2DModel` of diffusers.

use serde::{Deserialize, Serialize};

use crate::config_error::{ConfigError, require, require_fraction};
use crate::network::Signature;

/// Hyperparameters of [`UNet2D`](super::UNet2D), named as in the `config.json` of diffusers' models.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UNet2DConfig {
    /// Channels at each resolution, from the highest; each entry but the first halves it.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks at each resolution of the encoder; the decoder has one more.
    pub layers_per_block: usize,
    /// Kind of each level of the encoder, from the highest resolution.
    pub down_block_types: Vec<DownBlockType>,
    /// Kind of each level of the decoder, from the lowest resolution.
    pub up_block_types: Vec<UpBlockType>,
    /// Channels of one head of attention; none for a single head.
    pub attention_head_dim: Option<usize>,
    /// Whether the middle attends; it does in every published model.
    pub add_attention: bool,
    /// Groups of every normalisation.
    pub norm_num_groups: usize,
    /// Offset of the variances.
    pub norm_eps: f64,
    /// Frequencies of the noise embedding run from 1 to `10000^(-(n/2 - 1) / (n/2 - freq_shift))`.
    pub freq_shift: usize,
    /// Whether cosines stand before sines in the noise embedding.
    pub flip_sin_to_cos: bool,
    /// Zeros around an image that is halved: 1 on all sides, or 0 for one row below and one column to the right.
    pub downsample_padding: usize,
    /// Probability with which a value inside a residual block is dropped in training.
    pub dropout: f64,
    /// Probability with which a sample's label reads as zeros in training; 0 where it is left out.
    #[serde(default)]
    pub label_dropout: f64,
}

/// Kind of a level of the encoder, by its name in diffusers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DownBlockType {
    /// Residual blocks.
    DownBlock2D,
    /// Residual blocks with self-attention behind each.
    AttnDownBlock2D,
}

/// Kind of a level of the decoder, by its name in diffusers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpBlockType {
    /// Residual blocks.
    UpBlock2D,
    /// Residual blocks with self-attention behind each.
    AttnUpBlock2D,
}

impl UNet2DConfig {
    /// Checks that a network of this configuration exists for the given sizes.
    ///
    /// # Errors
    ///
    /// The first value found outside its range.
    pub fn check(&self, signature: &Signature) -> Result<(), ConfigError> {
        signature.check()?;
        require("augment_dim", signature.augment_dim, "0", |dim| dim == 0)?;
        let levels = self.block_out_channels.len();
        if levels == 0 {
            return Err(ConfigError::NoLevels("block_out_channels"));
        }
        let groups = self.norm_num_groups;
        require("norm_num_groups", groups, "at least 1", |groups| groups > 0)?;
        let divides = format!("a multiple of norm_num_groups = {groups}, from 4 to 16384, even");
        let accepts =
            |c: usize| (4..=16384).contains(&c) && c.is_multiple_of(groups) && c.is_multiple_of(2);
        for &channels in &self.block_out_channels {
            require(
                "an entry of block_out_channels",
                channels,
                &divides,
                accepts,
            )?;
        }
        let as_many = format!("{levels}, as that of block_out_channels");
        let lengths = [
            (
                "the length of down_block_types",
                self.down_block_types.len(),
            ),
            ("the length of up_block_types", self.up_block_types.len()),
        ];
        for (name, length) in lengths {
            require(name, length, &as_many, |length| length == levels)?;
        }
        self.check_attention()?;
        require(
            "layers_per_block",
            self.layers_per_block,
            "from 1 to 32",
            |layers| (1..=32).contains(&layers),
        )?;
        let half = self.block_out_channels[0] / 2;
        let below = format!("less than {half}, half the first of block_out_channels");
        require("freq_shift", self.freq_shift, &below, |shift| shift < half)?;
        require(
            "downsample_padding",
            self.downsample_padding,
            "0 or 1",
            |padding| padding <= 1,
        )?;
        let accepted = format!(
            "a multiple of 2^{}, one halving for each level but the first",
            levels - 1
        );
        for side in signature.resolution {
            require("resolution", side, &accepted, |side| {
                1usize
                    .checked_shl(levels as u32 - 1)
                    .is_some_and(|divisor| side.is_multiple_of(divisor))
            })?;
        }
        require_fraction("norm_eps", self.norm_eps)?;
        require_fraction("dropout", self.dropout)?;
        require_fraction("label_dropout", self.label_dropout)
    }

    /// Refuses heads that do not divide the channels they stand among.
    fn check_attention(&self) -> Result<(), ConfigError> {
        let Some(head_dim) = self.attention_head_dim else {
            return Ok(());
        };
        let last = self.block_out_channels.len() - 1;
        let attends = |level: usize| {
            self.down_block_types[level] == DownBlockType::AttnDownBlock2D
                || self.up_block_types[last - level] == UpBlockType::AttnUpBlock2D
                || level == last && self.add_attention
        };
        for (level, &channels) in self.block_out_channels.iter().enumerate() {
            let accepted = format!("a divisor of {channels}, channels that attend");
            require("attention_head_dim", head_dim, &accepted, |dim| {
                !attends(level) || dim > 0 && channels.is_multiple_of(dim)
            })?;
        }
        Ok(())
    }

    /// Length of the noise embedding.
    pub(super) fn embedding(&self) -> usize {
        4 * self.block_out_channels[0]
    }

    /// Heads of an attention among so many channels.
    pub(super) fn heads(&self, channels: usize) -> usize {
        self.attention_head_dim.map_or(1, |dim| channels / dim)
    }
}
