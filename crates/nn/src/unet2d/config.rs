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
    /// How the noise embedding acts in a residual block; added where it is left out.
    #[serde(default)]
    pub resnet_time_scale_shift: TimeScaleShift,
    /// How levels of the encoder that attend change the resolution; by a convolution where it is left out.
    #[serde(default)]
    pub downsample_type: ResampleType,
    /// How levels of the decoder that attend change the resolution; by a convolution where it is left out.
    #[serde(default)]
    pub upsample_type: ResampleType,
    /// What the sums of branches in the middle are divided by; 1 where it is left out.
    #[serde(default = "one")]
    pub mid_block_scale_factor: f64,
    /// Groups of the normalisation in front of the middle's attention, where they are not `norm_num_groups`; left out
    /// beside `resnet_time_scale_shift: scale_shift`, there is no such normalisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attn_norm_num_groups: Option<usize>,
    /// Whether the input is taken for values from 0 to 1 and mapped to -1 to 1.
    #[serde(default)]
    pub center_input_sample: bool,
    /// How a class is embedded, where that is not by a row of a table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_embed_type: Option<ClassEmbedType>,
    /// How the noise level is embedded; positional where it is left out.
    #[serde(default)]
    pub time_embedding_type: TimeEmbeddingType,
}

fn one() -> f64 {
    1.0
}

/// How the noise embedding acts in a residual block, by its name in diffusers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeScaleShift {
    /// It is added between the convolutions.
    #[default]
    Default,
    /// It scales and shifts the second normalisation.
    ScaleShift,
}

/// How a level that attends changes the resolution, by its name in diffusers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResampleType {
    /// By a convolution.
    #[default]
    Conv,
    /// By a residual block.
    Resnet,
}

/// How a class is embedded, by its name in diffusers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassEmbedType {
    /// By its number, as a time step is.
    Timestep,
}

/// How the noise level is embedded, by its name in diffusers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeEmbeddingType {
    /// By sines and cosines of fixed frequencies.
    #[default]
    Positional,
    /// By sines and cosines of random frequencies, which belong to the weights.
    Fourier,
}

/// Kind of a level of the encoder, by its name in diffusers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DownBlockType {
    /// Residual blocks.
    DownBlock2D,
    /// Residual blocks with self-attention behind each.
    AttnDownBlock2D,
    /// Residual blocks, and one that halves the resolution.
    ResnetDownsampleBlock2D,
    /// Residual blocks, with the image itself coming along.
    SkipDownBlock2D,
    /// Residual blocks with self-attention behind each, with the image itself coming along.
    AttnSkipDownBlock2D,
}

/// Kind of a level of the decoder, by its name in diffusers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpBlockType {
    /// Residual blocks.
    UpBlock2D,
    /// Residual blocks with self-attention behind each.
    AttnUpBlock2D,
    /// Residual blocks, and one that doubles the resolution.
    ResnetUpsampleBlock2D,
    /// Residual blocks, with the image itself coming along.
    SkipUpBlock2D,
    /// Residual blocks with self-attention behind the last, with the image itself coming along.
    AttnSkipUpBlock2D,
}

/// What a level is made of, whichever side it stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LevelKind {
    pub(super) attends: bool,
    /// Whether the image itself comes along.
    pub(super) skips: bool,
    pub(super) resample: ResampleType,
}

impl LevelKind {
    /// By attention, skip and a resampling that is not the configuration's to choose.
    fn new(attends: bool, skips: bool, resample: ResampleType) -> Self {
        Self {
            attends,
            skips,
            resample,
        }
    }
}

impl DownBlockType {
    pub(super) fn level(self, of_attention: ResampleType) -> LevelKind {
        match self {
            Self::DownBlock2D => LevelKind::new(false, false, ResampleType::Conv),
            Self::AttnDownBlock2D => LevelKind::new(true, false, of_attention),
            Self::ResnetDownsampleBlock2D => LevelKind::new(false, false, ResampleType::Resnet),
            Self::SkipDownBlock2D => LevelKind::new(false, true, ResampleType::Resnet),
            Self::AttnSkipDownBlock2D => LevelKind::new(true, true, ResampleType::Resnet),
        }
    }
}

impl UpBlockType {
    pub(super) fn level(self, of_attention: ResampleType) -> LevelKind {
        match self {
            Self::UpBlock2D => LevelKind::new(false, false, ResampleType::Conv),
            Self::AttnUpBlock2D => LevelKind::new(true, false, of_attention),
            Self::ResnetUpsampleBlock2D => LevelKind::new(false, false, ResampleType::Resnet),
            Self::SkipUpBlock2D => LevelKind::new(false, true, ResampleType::Resnet),
            Self::AttnSkipUpBlock2D => LevelKind::new(true, true, ResampleType::Resnet),
        }
    }
}

/// Most pixels that may attend to each other: the table of all pairs takes 4 GiB for one image and head.
const MAX_ATTENDING: usize = 1 << 15;
/// Most values that one level of one image may have: 2 GiB.
const MAX_VALUES: usize = 1 << 29;

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
        self.check_sizes(signature)?;
        self.check_skips(signature)?;
        if !(1e-3..=1e3).contains(&self.mid_block_scale_factor) {
            return Err(ConfigError::Number {
                name: "mid_block_scale_factor",
                value: self.mid_block_scale_factor,
                accepted: "from 0.001 to 1000",
            });
        }
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

    /// Whether each level, from the highest resolution, attends on either side or in the middle.
    fn attends(&self, level: usize) -> bool {
        let last = self.block_out_channels.len() - 1;
        let kinds = (
            self.down_block_types[level].level(self.downsample_type),
            self.up_block_types[last - level].level(self.upsample_type),
        );
        kinds.0.attends || kinds.1.attends || level == last && self.add_attention
    }

    /// Refuses heads of more channels than there are where they attend.
    fn check_attention(&self) -> Result<(), ConfigError> {
        if let Some(groups) = self.attn_norm_num_groups {
            let last = self.block_out_channels[self.block_out_channels.len() - 1];
            let accepted = format!("a divisor of {last}, the last of block_out_channels");
            require("attn_norm_num_groups", groups, &accepted, |groups| {
                groups > 0 && last.is_multiple_of(groups)
            })?;
        }
        let Some(head_dim) = self.attention_head_dim else {
            return Ok(());
        };
        for (level, &channels) in self.block_out_channels.iter().enumerate() {
            let accepted = format!("from 1 to {channels}, the channels that attend");
            require("attention_head_dim", head_dim, &accepted, |dim| {
                !self.attends(level) || (1..=channels).contains(&dim)
            })?;
        }
        Ok(())
    }

    /// Refuses images that no memory is large enough for.
    fn check_sizes(&self, signature: &Signature) -> Result<(), ConfigError> {
        let [height, width] = signature.resolution;
        for (level, &channels) in self.block_out_channels.iter().enumerate() {
            let shift = u32::try_from(level).unwrap_or(u32::MAX);
            let side = |size: usize| size.checked_shr(shift).unwrap_or(0);
            let pixels = side(height).saturating_mul(side(width));
            if self.attends(level) {
                let accepted =
                    format!("at most {MAX_ATTENDING}, for the memory that all pairs of them take");
                let name = "the number of pixels that attend to each other";
                require(name, pixels, &accepted, |pixels| pixels <= MAX_ATTENDING)?;
            }
            let values = pixels.saturating_mul(channels);
            let accepted = format!("at most {MAX_VALUES}");
            let name = "the number of values of one level of the network";
            require(name, values, &accepted, |values| values <= MAX_VALUES)?;
        }
        Ok(())
    }

    /// Refuses levels with a skip of the image beside others, and images that are not of three channels.
    fn check_skips(&self, signature: &Signature) -> Result<(), ConfigError> {
        let down = self.down_block_types.iter();
        let up = self.up_block_types.iter();
        let kinds = down
            .map(|kind| kind.level(self.downsample_type))
            .chain(up.map(|kind| kind.level(self.upsample_type)));
        let (all, skips) = kinds.fold((0, 0), |(all, skips), kind| {
            (all + 1, skips + usize::from(kind.skips))
        });
        if skips == 0 {
            return Ok(());
        }
        let accepted = format!("0 or {all}, all levels of both sides");
        let name = "the number of levels with a skip of the image";
        require(name, skips, &accepted, |skips| skips == all)?;
        let three = "3 beside levels with a skip of the image";
        require("in_channels", signature.in_channels, three, |c| c == 3)?;
        require("out_channels", signature.out_channels, three, |c| c == 3)
    }

    /// Length of the noise embedding.
    pub(super) fn embedding(&self) -> usize {
        4 * self.block_out_channels[0]
    }

    /// Values that the noise level is embedded in before it is mapped.
    pub(super) fn projected(&self) -> usize {
        match self.time_embedding_type {
            TimeEmbeddingType::Positional => self.block_out_channels[0],
            TimeEmbeddingType::Fourier => 2 * self.block_out_channels[0],
        }
    }

    /// Heads of an attention among so many channels, and the channels of all heads together: fewer, where the
    /// channels do not divide into heads.
    pub(super) fn heads(&self, channels: usize) -> (usize, usize) {
        let head_dim = self.attention_head_dim.unwrap_or(channels);
        let heads = channels / head_dim;
        (heads, heads * head_dim)
    }
}
