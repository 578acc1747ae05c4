//! Group normalisation.

use candle_core::{Result, Tensor, bail};
use candle_nn::{Init, VarBuilder};

use crate::ops::{self, Activation};

/// Groups that a network of many channels has.
const MAX_GROUPS: usize = 32;

/// Channels that a group has at least.
const MIN_GROUP_CHANNELS: usize = 4;

/// Scale and shift of a group normalisation.
pub(crate) struct GroupNorm {
    weight: Tensor,
    bias: Tensor,
    groups: usize,
    eps: f64,
}

impl GroupNorm {
    /// A normalisation of `channels` channels in `min(32, channels / 4)` groups, scale 1 and shift 0 at first.
    pub(crate) fn new(channels: usize, eps: f64, vb: &VarBuilder) -> Result<Self> {
        let groups = MAX_GROUPS.min(channels / MIN_GROUP_CHANNELS);
        Self::with_groups(channels, groups, eps, vb)
    }

    /// The same in `groups` groups.
    pub(crate) fn with_groups(
        channels: usize,
        groups: usize,
        eps: f64,
        vb: &VarBuilder,
    ) -> Result<Self> {
        if groups == 0 || !channels.is_multiple_of(groups) {
            bail!(
                "{} has {channels} channels, which do not divide into {groups} groups",
                vb.prefix()
            );
        }
        let weight = vb.get_with_hints(channels, "weight", Init::Const(1.0))?;
        let bias = vb.get_with_hints(channels, "bias", Init::Const(0.0))?;
        Ok(Self {
            weight,
            bias,
            groups,
            eps,
        })
    }

    /// Channels of the images.
    pub(crate) fn channels(&self) -> usize {
        self.weight.elem_count()
    }

    /// Normalises `[B, H, W, C]`, then applies `activation`.
    pub(crate) fn forward(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        ops::group_norm(
            x,
            &self.weight,
            &self.bias,
            self.groups,
            self.eps,
            activation,
        )
    }

    /// As [`Self::forward`], scaled and shifted by `m [B, 2 C]`: `out = norm(x) (1 + scale) + shift`.
    pub(crate) fn forward_modulated(
        &self,
        x: &Tensor,
        m: &Tensor,
        activation: Activation,
    ) -> Result<Tensor> {
        let rows = ops::modulate(&self.weight, &self.bias, m)?;
        ops::modulated_group_norm(x, &rows, self.groups, self.eps, activation)
    }
}
