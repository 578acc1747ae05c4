//! What the rest of the program sees of a network.

use std::sync::Arc;

use candle_core::{Tensor, bail};
use pfgmpp_kernel::{Condition, ConditionSpec};

use crate::config_error::{ConfigError, require};

/// A network that maps a scaled noisy image and a noise level to an image.
pub trait Network: Send + Sync {
    /// The conditions that the network takes; any other is refused by it.
    fn takes(&self) -> ConditionSpec;

    /// Evaluates the network.
    ///
    /// - `x`: input, shape `[B, C, H, W]`.
    /// - `c_noise`: noise level of each sample as the preconditioning expresses it, shape `[B]`.
    /// - `context`: condition, augmentation and mode.
    ///
    /// Returns `[B, out_channels, H, W]`. In [`Mode::Eval`] nothing is random; in [`Mode::Train`] each sample
    /// draws from its own seed only.
    ///
    /// # Errors
    ///
    /// Shapes that do not fit the network, and failures of the tensor backend.
    fn forward(
        &self,
        x: &Tensor,
        c_noise: &Tensor,
        context: &Context,
    ) -> candle_core::Result<Tensor>;
}

impl<T: Network + ?Sized> Network for Arc<T> {
    fn takes(&self) -> ConditionSpec {
        (**self).takes()
    }

    fn forward(
        &self,
        x: &Tensor,
        c_noise: &Tensor,
        context: &Context,
    ) -> candle_core::Result<Tensor> {
        (**self).forward(x, c_noise, context)
    }
}

/// What a network is told beside the image and its noise level.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Class and conditioning image of each sample; no labels stand for zeros, the unconditional case.
    pub condition: &'a Condition,
    /// Augmentation parameters, shape `[B, augment_dim]`, behind what tells D of a network for many; none for images that
    /// are not augmented.
    pub augment: Option<&'a Tensor>,
    /// Whether the network is being trained.
    pub mode: Mode<'a>,
}

impl<'a> Context<'a> {
    /// An evaluation under `condition`, of images that are not augmented.
    pub fn under(condition: &'a Condition) -> Self {
        Self {
            condition,
            ..Self::default()
        }
    }
}

impl Default for Context<'_> {
    /// An evaluation under no condition, of images that are not augmented.
    fn default() -> Self {
        Self {
            condition: Condition::unconditional(),
            augment: None,
            mode: Mode::Eval,
        }
    }
}

/// Whether the network is being trained.
#[derive(Debug, Clone, Copy, Default)]
pub enum Mode<'a> {
    /// No dropout.
    #[default]
    Eval,
    /// Dropout, drawn for each sample from its own seed, so that a sample's mask does not depend on its batch.
    Train {
        /// One seed for each sample.
        seeds: &'a [u64],
    },
}

/// Sizes of what a network takes and gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    /// Height and width of the images.
    pub resolution: [usize; 2],
    /// Channels of the images that come in.
    pub in_channels: usize,
    /// Channels of the images that go out: as many as come in for a denoiser, one more for a field.
    pub out_channels: usize,
    /// Number of classes, 0 for an unconditional network.
    pub label_dim: usize,
    /// Number of augmentation parameters, 0 for none.
    pub augment_dim: usize,
}

impl Signature {
    /// From images of `shape` `[C, H, W]` to images of the same shape, with neither labels nor augmentation.
    pub fn unconditional(shape: [usize; 3]) -> Self {
        let [channels, height, width] = shape;
        Self {
            resolution: [height, width],
            in_channels: channels,
            out_channels: channels,
            label_dim: 0,
            augment_dim: 0,
        }
    }

    /// Refuses an empty input or output.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let [height, width] = self.resolution;
        let sizes = [
            ("in_channels", self.in_channels),
            ("out_channels", self.out_channels),
            ("the height of the images", height),
            ("the width of the images", width),
        ];
        for (name, value) in sizes {
            require(name, value, "at least 1", |value| value > 0)?;
        }
        Ok(())
    }

    /// The side of square images.
    pub(crate) fn side(&self) -> Result<usize, ConfigError> {
        match self.resolution {
            [height, width] if height == width => Ok(height),
            [height, width] => Err(ConfigError::NotSquare(height, width)),
        }
    }

    /// Refuses an input of another shape than `x [B, C, H, W]` and `c_noise [B]`.
    pub(crate) fn check_input(&self, x: &Tensor, c_noise: &Tensor) -> candle_core::Result<()> {
        let ([height, width], channels, b) = (self.resolution, self.in_channels, x.dim(0)?);
        if x.dims() != [b, channels, height, width] || c_noise.dims() != [b] {
            bail!(
                "the network takes x [B, {channels}, {height}, {width}] and c_noise [B], got {:?} and {:?}",
                x.shape(),
                c_noise.shape()
            );
        }
        Ok(())
    }
}
