//! What the rest of the program sees of a network.

use candle_core::{Result, Tensor};

/// A network that maps a scaled noisy image and a noise level to an image.
pub trait Network: Send + Sync {
    /// Evaluates the network.
    ///
    /// - `x`: input, shape `[B, C, H, W]`.
    /// - `c_noise`: noise level of each sample as the preconditioning expresses it, shape `[B]`.
    /// - `condition`: labels, augmentation and mode.
    ///
    /// Returns the shape of `x`. In [`Mode::Eval`] nothing is random; in [`Mode::Train`] each sample draws from its own
    /// seed only.
    ///
    /// # Errors
    ///
    /// Shapes that do not fit the network, and failures of the tensor backend.
    fn forward(&self, x: &Tensor, c_noise: &Tensor, condition: &Condition) -> Result<Tensor>;
}

/// What a network is told beside the image and its noise level.
#[derive(Debug, Clone, Copy, Default)]
pub struct Condition<'a> {
    /// Class labels, one-hot, shape `[B, label_dim]`; none stands for zeros, the unconditional case.
    pub labels: Option<&'a Tensor>,
    /// Augmentation parameters, shape `[B, augment_dim]`; none for images that are not augmented.
    pub augment: Option<&'a Tensor>,
    /// Whether the network is being trained.
    pub mode: Mode<'a>,
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
    pub resolution: usize,
    /// Channels of the images.
    pub channels: usize,
    /// Number of classes, 0 for an unconditional network.
    pub label_dim: usize,
    /// Number of augmentation parameters, 0 for none.
    pub augment_dim: usize,
}
