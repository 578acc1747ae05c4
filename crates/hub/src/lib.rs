//! Files of the Hugging Face Hub, kept in the cache that its other programs use.
//!
//! [`Reference`] is what a user writes (`hf://owner/name@revision/file`), [`Hub::fetch`] brings the files
//! here and gives the folder that holds them. A file appears in the cache when all of it is there and its
//! checksum is right, never before.

mod cache;
mod checksum;
#[cfg(feature = "http")]
mod download;
mod environment;
mod error;
mod hub;
mod observer;
mod place;
mod reference;
#[cfg(feature = "http")]
mod remote;
mod settings;

pub use cache::Fetched;
pub use error::HubError;
pub use hub::{Hub, Select};
pub use observer::{HubEvent, HubObserver};
pub use reference::{Reference, Repo, RepoKind};
pub use settings::Settings;
