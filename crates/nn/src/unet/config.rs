//! Sizes that the U-Nets have in common.

use serde::{Deserialize, Serialize};

use crate::config_error::{ConfigError, require, require_fraction};
use crate::network::Signature;

/// Hyperparameters of DDPM++, NCSN++ and ADM, named as in the published configurations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UNetConfig {
    /// Channels of which `channel_mult` and `channel_mult_emb` are multiples; a multiple of 4.
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
}

impl UNetConfig {
    /// Checks that a network of this configuration exists for the given sizes.
    ///
    /// # Errors
    ///
    /// The first value found outside its range.
    pub fn check(&self, signature: &Signature) -> Result<(), ConfigError> {
        signature.check()?;
        let Some(halvings) = self.channel_mult.len().checked_sub(1) else {
            return Err(ConfigError::NoLevels("channel_mult"));
        };
        require(
            "model_channels",
            self.model_channels,
            "a multiple of 4 from 4 to 2048",
            |c| (4..=2048).contains(&c) && c % 4 == 0,
        )?;
        for &mult in &self.channel_mult {
            require("an entry of channel_mult", mult, "from 1 to 16", |mult| {
                (1..=16).contains(&mult)
            })?;
        }
        require("num_blocks", self.num_blocks, "from 1 to 32", |blocks| {
            (1..=32).contains(&blocks)
        })?;
        require(
            "channel_mult_emb",
            self.channel_mult_emb,
            "from 1 to 16",
            |mult| (1..=16).contains(&mult),
        )?;
        let accepted = format!(
            "a positive multiple of 2^{halvings}, one halving for each entry of channel_mult but the first"
        );
        let divides = |side: usize| {
            let divisor = 1usize.checked_shl(halvings as u32);
            side > 0 && divisor.is_some_and(|divisor| side.is_multiple_of(divisor))
        };
        let side = signature.side()?;
        require("resolution", side, &accepted, divides)?;
        self.check_attention(side)?;
        require_fraction("dropout", self.dropout)?;
        require_fraction("label_dropout", self.label_dropout)
    }

    /// Refuses an attention at a resolution that the network does not have.
    fn check_attention(&self, side: usize) -> Result<(), ConfigError> {
        let levels: Vec<usize> = unet_levels(side, self.channel_mult.len()).collect();
        let names: Vec<String> = levels.iter().map(usize::to_string).collect();
        let accepted = format!("one of the network's resolutions, {}", names.join(", "));
        for &resolution in &self.attn_resolutions {
            require(
                "an entry of attn_resolutions",
                resolution,
                &accepted,
                |side| levels.contains(&side),
            )?;
        }
        Ok(())
    }

    /// Length of the noise embedding.
    pub(crate) fn embedding(&self) -> usize {
        self.model_channels * self.channel_mult_emb
    }
}

/// The resolutions of a network of so many levels for images of `side` by `side` pixels, from the highest.
pub(crate) fn unet_levels(side: usize, levels: usize) -> impl Iterator<Item = usize> {
    (0..levels).map(move |level| side.checked_shr(level as u32).unwrap_or(0))
}
