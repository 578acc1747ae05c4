//! Checkpoints: a folder with `model.safetensors` (the weights that sample) and `config.json` (what
//! they are), written whole or not at all; and those of other programs, read without running them.
//!
//! [`resolve`] finds or fetches what a user named, [`Source::open`] tells what a file or folder is,
//! [`Source::load`] reads it; [`Model::load`] makes a denoiser of it. [`Export`] writes it for other programs.

mod card;
mod checkpoint;
mod column;
mod config;
mod elements;
mod error;
mod export;
mod fingerprint;
mod fit;
mod foreign;
mod hub_files;
mod json_file;
mod model;
mod parts;
mod resolve;
mod rounding;
mod seal;
mod sealed;
mod sniff;
mod source;
mod tensors;
#[cfg(test)]
mod tests;
mod torch;
mod used;

pub use card::{model_card, network_name, prediction_name};
pub use checkpoint::{Checkpoint, recorded_sha256};
pub use column::Column;
pub use config::{CheckpointConfig, DATA_MEAN, DataSummary, FORMAT, TrainingSummary};
pub use error::{CheckpointError, Remedy};
pub use export::{Export, Layout};
pub use fingerprint::{file_sha256, weights_sha256};
pub use model::{Model, beyond_trained};
pub use resolve::{Resolved, resolve};
pub use seal::{Seal, json_sha256};
pub use sealed::{read_sealed_tensors, write_sealed_tensors};
pub use source::{LoadOptions, Loaded, Source};
pub use tensors::{Metadata, Tensors, read_tensors, write_tensors};
