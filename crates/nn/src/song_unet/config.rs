//! Configuration of the Song U-Net, and the two that have names.

use serde::{Deserialize, Serialize};

use crate::config_error::{ConfigError, require};
use crate::layers::NoiseEmbedding;
use crate::network::Signature;
use crate::ops::Filter;
use crate::unet::UNetConfig;

/// Hyperparameters of [`SongUNet`](super::SongUNet), named as in the published configurations.
///
/// [`Self::ddpmpp`] and [`Self::ncsnpp`] set all that [`UNetConfig`] leaves open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SongUNetConfig {
    /// Channels at full resolution are this times the first of `channel_mult`; a multiple of 4.
    pub model_channels: usize,
    /// Multiple of `model_channels` at each resolution, from the highest; each entry but the first halves it.
    pub channel_mult: Vec<usize>,
    /// Length of the noise embedding as a multiple of `model_channels`.
    pub channel_mult_emb: usize,
    /// Residual blocks at each resolution of the encoder; the decoder has one more.
    pub num_blocks: usize,
    /// Resolutions with self-attention. The lowest has one in the decoder in any case.
    pub attn_resolutions: Vec<usize>,
    /// Probability with which a value inside a residual block is dropped in training.
    pub dropout: f64,
    /// Probability with which a sample's label reads as zeros in training; 0 where it is left out.
    #[serde(default)]
    pub label_dropout: f64,
    /// How the network sees the noise level.
    pub embedding_type: NoiseEmbedding,
    /// Values of the noise level's own embedding as a multiple of `model_channels`.
    pub channel_mult_noise: usize,
    /// What the encoder sees of the input at lower resolutions.
    pub encoder_type: EncoderType,
    /// What the decoder gives at lower resolutions.
    pub decoder_type: DecoderType,
    /// Low-pass filter of every change of resolution: `[1, 1]` or `[1, 3, 3, 1]`.
    pub resample_filter: ResampleFilter,
}

/// What the encoder of a Song U-Net sees of its input at lower resolutions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EncoderType {
    /// Nothing.
    Standard,
    /// The input, halved and mapped to the level's channels, is added.
    Skip,
    /// The level above's sum, convolved and halved, is added; at the first level the input.
    Residual,
}

/// What the decoder of a Song U-Net gives at lower resolutions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecoderType {
    /// Nothing.
    Standard,
    /// Each level adds an image to the doubled image of the level below.
    Skip,
}

/// The low-pass filter of a network's changes of resolution, written as its taps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<u32>", into = "Vec<u32>")]
pub struct ResampleFilter(pub Filter);

impl TryFrom<Vec<u32>> for ResampleFilter {
    type Error = String;

    fn try_from(taps: Vec<u32>) -> Result<Self, String> {
        [Filter::Box, Filter::Binomial]
            .into_iter()
            .find(|filter| filter.taps() == taps)
            .map(Self)
            .ok_or_else(|| format!("resample_filter must be [1, 1] or [1, 3, 3, 1], got {taps:?}"))
    }
}

impl From<ResampleFilter> for Vec<u32> {
    fn from(filter: ResampleFilter) -> Self {
        filter.0.taps().to_vec()
    }
}

impl SongUNetConfig {
    /// DDPM++ of the given sizes.
    ///
    /// Source: Song et al. 2021, as configured by Karras et al. 2022, table 1.
    pub fn ddpmpp(sizes: UNetConfig) -> Self {
        Self {
            model_channels: sizes.model_channels,
            channel_mult: sizes.channel_mult,
            channel_mult_emb: sizes.channel_mult_emb,
            num_blocks: sizes.num_blocks,
            attn_resolutions: sizes.attn_resolutions,
            dropout: sizes.dropout,
            label_dropout: sizes.label_dropout,
            embedding_type: NoiseEmbedding::Positional,
            channel_mult_noise: 1,
            encoder_type: EncoderType::Standard,
            decoder_type: DecoderType::Standard,
            resample_filter: ResampleFilter(Filter::Box),
        }
    }

    /// NCSN++ of the given sizes.
    ///
    /// Source: as [`Self::ddpmpp`].
    pub fn ncsnpp(sizes: UNetConfig) -> Self {
        Self {
            embedding_type: NoiseEmbedding::Fourier,
            channel_mult_noise: 2,
            encoder_type: EncoderType::Residual,
            resample_filter: ResampleFilter(Filter::Binomial),
            ..Self::ddpmpp(sizes)
        }
    }

    /// Checks that a network of this configuration exists for the given sizes.
    ///
    /// # Errors
    ///
    /// The first value found outside its range.
    pub fn check(&self, signature: &Signature) -> Result<(), ConfigError> {
        self.sizes().check(signature)?;
        require(
            "channel_mult_noise",
            self.channel_mult_noise,
            "from 1 to 16",
            |mult| (1..=16).contains(&mult),
        )
    }

    /// What the network has in common with the other U-Nets.
    pub(super) fn sizes(&self) -> UNetConfig {
        UNetConfig {
            model_channels: self.model_channels,
            channel_mult: self.channel_mult.clone(),
            channel_mult_emb: self.channel_mult_emb,
            num_blocks: self.num_blocks,
            attn_resolutions: self.attn_resolutions.clone(),
            dropout: self.dropout,
            label_dropout: self.label_dropout,
        }
    }
}
