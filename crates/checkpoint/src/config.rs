//! What `config.json` says of the weights beside it.

use pfgmpp_kernel::Dimension;
use pfgmpp_nn::{NetworkConfig, Prediction};
use pfgmpp_sampler::Sampler;
use pfgmpp_transfer::DataScale;
use serde::{Deserialize, Serialize};

/// Version of the checkpoint format that this crate writes.
pub const FORMAT: u32 = 1;

/// Everything needed to rebuild the denoiser from its weights and to sample from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointConfig {
    /// Version of this format, [`FORMAT`].
    pub format: u32,
    /// The dimension D that the model was trained at.
    pub d: Dimension,
    /// The data it was trained on.
    pub data: DataSummary,
    /// The network's architecture.
    pub network: NetworkConfig,
    /// What the network predicts, and so how it is made a denoiser.
    pub prediction: Prediction,
    /// The sampler that its training run was scored with.
    pub sampler: Sampler,
    /// How it was trained.
    pub training: TrainingSummary,
    /// SHA-256 of `model.safetensors`, in hexadecimal.
    pub weights_sha256: String,
}

/// The data a model was trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSummary {
    /// Name of the data set.
    pub name: String,
    /// Channels, height and width of one image.
    pub shape: [usize; 3],
    /// The values that black and white stand for.
    pub range: [f64; 2],
    /// What the effective noise level needs to know of the data.
    pub scale: DataScale,
}

/// How a model was trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingSummary {
    /// Images seen in training.
    pub nimg: u64,
    /// Seed of the run.
    pub seed: u64,
}
