//! Checkpoints that other programs wrote, and what they are here.

mod diffusers;
mod edm;
mod error;
mod layout;
mod module;
mod names;
mod network;
mod options;
mod pipeline;
mod scheduler;
mod search;
mod settings;
mod unet2d;

pub(crate) use diffusers::{CONFIG, Diffusers, SCHEDULERS, UNETS};
pub(crate) use edm::describe;
pub(crate) use error::ForeignError;
pub(crate) use layout::{Layout, PART, Weights, best as best_weights};
pub(crate) use module::Module;
pub(crate) use names::{Renaming, has_variances, named_as_here, without_variances};
pub(crate) use pipeline::INDEX as PIPELINE;
pub(crate) use search::{Contents, find, select};
