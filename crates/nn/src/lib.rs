//! Networks and their fused operations.
//!
//! A network is a plain function of tensors, [`Network`]; [`Preconditioned`] makes a denoiser of it. It is
//! built from a [`candle_nn::VarBuilder`]: from [`Parameters::builder`] for training, from
//! `VarBuilder::from_tensors` for given weights. Parameter names and shapes are those of the published
//! checkpoints.
//!
//! Work is split among the threads of the rayon pool in which a network is called: several trainings side by
//! side run in a pool each, which share the cores. Outside any pool the global one is used, at the cost of a
//! hand-over for every operation.

mod at_dimension;
mod beside;
mod config;
mod config_error;
mod constants;
mod conv_algorithm;
mod dhariwal_unet;
mod evaluation;
mod field_network;
mod host;
mod kernels;
mod layers;
mod memory;
mod mlp;
mod network;
pub mod ops;
mod parameters;
mod preconditioned;
mod prediction;
mod song_unet;
mod tape;
mod unet;
mod unet2d;

pub use at_dimension::{AtDimension, DIMENSION_LABELS, dimension_labels};
pub use config::NetworkConfig;
pub use config_error::ConfigError;
pub use constants::is_constant;
pub use conv_algorithm::{ConvAlgorithm, ConvAlgorithmError};
pub use dhariwal_unet::DhariwalUNet;
pub use field_network::FieldNetwork;
pub use layers::NoiseEmbedding;
pub use memory::MemoryEstimate;
pub use mlp::{Mlp, MlpConfig};
pub use network::{Context, Mode, Network, Signature};
pub use parameters::{Parameters, ParametersError};
pub use preconditioned::Preconditioned;
pub use prediction::Prediction;
pub use song_unet::{DecoderType, EncoderType, ResampleFilter, SongUNet, SongUNetConfig};
pub use tape::watch_gradients;
pub use unet::UNetConfig;
pub use unet2d::{
    ClassEmbedType, DownBlockType, ResampleType, TimeEmbeddingType, TimeScaleShift, UNet2D,
    UNet2DConfig, UpBlockType,
};
