//! How much memory training takes, from shapes alone.

use pfgmpp_data::Dataset;
use pfgmpp_nn::MemoryEstimate;

use crate::config::{Method, TrainerConfig};
use crate::error::TrainError;
use crate::learner::{image_channels, training_signature};

/// Bytes of one `f32`.
const BYTES: u64 = 4;
/// Tensors of a batch's shape beside those of the network: data, noise, input, target and their like.
const OF_A_BATCH: u64 = 6;
/// Bytes of what a sample has beside images: generators, levels, losses.
const OF_A_SAMPLE: u64 = 1024;
/// An estimate of what a training takes beside its data; nothing is allocated to find out.
#[derive(Clone, Debug)]
pub struct TrainingMemory {
    network: MemoryEstimate,
    n: u64,
    /// Data that a step holds beside its batch.
    wide: u64,
    /// Averages of the weights, and the sum of the gradients of pieces of a batch.
    averages: u64,
}

impl TrainingMemory {
    /// Of the training of `model` on `data`.
    ///
    /// # Errors
    ///
    /// A network that does not fit the data.
    pub fn of(model: &TrainerConfig, data: &Dataset) -> Result<Self, TrainError> {
        let signature = training_signature(model, data)?;
        let wide = match model.method {
            Method::Denoiser {
                reference_batch, ..
            } => reference_batch.unwrap_or(0),
            Method::Field { large_batch, .. } => large_batch,
        };
        Ok(Self {
            network: model
                .network()?
                .memory_beside(signature, image_channels(model, data)?)?,
            n: data.n() as u64,
            wide: wide.min(data.num_images() as u64),
            averages: 1 + model.num_snapshots_at_once() + model.training.sums_at_once(),
        })
    }

    /// What the network takes.
    pub fn network(&self) -> &MemoryEstimate {
        &self.network
    }

    /// Bytes at the peak of a training step on `batch` samples at a time.
    pub fn step(&self, batch: u64) -> u64 {
        let images = batch.saturating_mul(OF_A_BATCH).saturating_add(self.wide);
        self.network
            .training(batch, self.averages)
            .saturating_add(images.saturating_mul(self.n).saturating_mul(BYTES))
            .saturating_add(batch.saturating_mul(OF_A_SAMPLE))
    }
}
