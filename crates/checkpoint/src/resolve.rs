//! From what a user names to where it lies.

use std::path::{Path, PathBuf};

use pfgmpp_hub::{Hub, Reference};

use crate::{CheckpointError, hub_files};

/// A checkpoint that a user named, and where it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Its place here.
    pub path: PathBuf,
    /// Its name, one that stands for the same bytes forever if it is of the Hub: at a commit.
    pub reference: String,
}

/// The place of a checkpoint that a user named: a path is its own, what a reference to the Hub
/// (`hf://owner/name`) names is fetched unless it is in the cache.
///
/// # Errors
///
/// A reference to a place that is not known, and what [`Hub::fetch`] refuses.
pub fn resolve(reference: &Path, hub: &Hub) -> Result<Resolved, CheckpointError> {
    let text = reference.to_str().unwrap_or_default();
    if Reference::is_meant(text) {
        let named: Reference = text.parse()?;
        let (path, commit) = hub_files::fetch(hub, &named)?;
        let reference = named.at(&commit).to_string();
        return Ok(Resolved { path, reference });
    }
    match text.split_once("://") {
        None => Ok(Resolved {
            path: reference.to_path_buf(),
            reference: reference.display().to_string(),
        }),
        Some((scheme, _)) => Err(CheckpointError::Foreign {
            remedy: None,
            path: reference.to_path_buf(),
            message: format!(
                "{scheme}:// is not a place that checkpoints are fetched from: give a path, or hf://owner/name"
            ),
        }),
    }
}
