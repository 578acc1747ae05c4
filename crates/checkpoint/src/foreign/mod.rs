//! Checkpoints that other programs wrote, and what they are here.

mod diffusers;
mod edm;
mod error;
mod module;
mod network;
mod options;
mod scheduler;
mod settings;
mod state_dict;
mod unet2d;

pub(crate) use diffusers::{CONFIG, Diffusers, SCHEDULERS, UNET, WEIGHTS};
pub(crate) use edm::describe;
pub(crate) use error::ForeignError;
pub(crate) use module::Module;
pub(crate) use state_dict::{Contents, named_as_here, state_dict, without_variances};
