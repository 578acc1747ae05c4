//! Layers of channels-last networks.

mod attention;
mod block;
mod conv;
mod dropout;
mod embedding;
mod labels;
mod linear;
mod mapping;
mod norm;
mod resample;
mod scheme;

pub(crate) use attention::SelfAttention;
pub(crate) use block::{Block, BlockSpec, Style};
pub(crate) use conv::Conv2d;
pub(crate) use dropout::Dropout;
pub use embedding::NoiseEmbedding;
pub(crate) use embedding::{Frequencies, beside};
pub(crate) use labels::{Labels, check_context};
pub(crate) use linear::Linear;
pub(crate) use mapping::{Mapping, MappingSpec};
pub(crate) use norm::GroupNorm;
pub(crate) use resample::{Resample, check_filter};
pub(crate) use scheme::Scheme;
