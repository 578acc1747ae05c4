//! Checkpoints: a folder with `model.safetensors` (the weights that sample) and `config.json` (what
//! they are), written whole or not at all.

mod atomic;
mod checkpoint;
mod config;
mod error;
mod tensors;

pub use atomic::{remove_partial, replace_folder, write_file};
pub use checkpoint::{Checkpoint, Model};
pub use config::{CheckpointConfig, DATA_MEAN, DataSummary, FORMAT, TrainingSummary};
pub use error::CheckpointError;
pub use tensors::{Metadata, Tensors, read_tensors, write_tensors};
