//! YAML documents, and the configuration of one run.
//!
//! A [`Document`] is a file that overrides can still change; [`RunConfig::read`] makes a checked
//! configuration of it, with an error that names the key and whoever set it.

mod blame;
mod error;
mod file;
mod kind;
mod run_config;
mod scoring;
mod variants;
pub mod yaml;

pub use error::ConfigError;
pub use kind::{ConfigKind, Configuration};
pub use run_config::{CheckpointSource, ModelConfig, RunConfig};
pub use scoring::{FeaturesConfig, ScoringConfig};
pub use variants::{Evaluations, Variant};
pub use yaml::{Document, Override};
