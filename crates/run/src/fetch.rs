//! Finding what a configuration names, and fixing what it means.

use std::path::{Path, PathBuf};

use pfgmpp_checkpoint::{Resolved, resolve};
use pfgmpp_config::{CheckpointSource, Document, ModelConfig, RunConfig};
use pfgmpp_hub::{Hub, Reference};

use crate::error::RunError;
use crate::starting::find_start;

/// Brings the data and the checkpoint that `config` names here if they are of the Hub, and puts
/// the commit in place of a revision that may move: what is written to `config.yaml` names the same bytes
/// forever.
///
/// - `folders`: those of the run and of others that it is compared with; if one of them has begun
///   already, it goes on with the commit that it began with, unless the configuration names a revision.
///
/// # Errors
///
/// What the Hub has not or does not give.
pub fn fetch(config: &mut RunConfig, folders: &[PathBuf], hub: &Hub) -> Result<(), RunError> {
    config.data.fetch(hub)?;
    if let ModelConfig::Network(model) = &mut config.model {
        let named = model.training.start_from.as_ref();
        let begun = named.and_then(|named| {
            let begun = |folder: &PathBuf| begun_with(folder, &named.reference);
            folders.iter().find_map(begun)
        });
        return find_start(model, begun, hub);
    }
    let ModelConfig::Checkpoint {
        source: CheckpointSource::Reference(reference),
        path,
        ..
    } = &mut config.model
    else {
        return Ok(());
    };
    let begun = folders
        .iter()
        .find_map(|folder| begun_with(folder, reference));
    let named = begun.as_ref().unwrap_or(reference);
    let Resolved {
        path: found,
        reference: fixed,
    } = resolve(named.as_ref(), hub)?;
    *path = Some(found);
    *reference = fixed;
    Ok(())
}

/// The reference at a commit with which the run in `folder` began, if it is one to what `reference` names.
fn begun_with(folder: &Path, reference: &str) -> Option<String> {
    let named: Reference = reference.parse().ok()?;
    if named.names_revision() {
        return None;
    }
    let (document, _) = Document::read::<RunConfig>(&folder.join("config.yaml")).ok()?;
    let reference = match RunConfig::read(&document, &[]).ok()?.model {
        ModelConfig::Checkpoint {
            source: CheckpointSource::Reference(reference),
            ..
        } => reference,
        ModelConfig::Network(model) => model.training.start_from?.reference,
        _ => return None,
    };
    let begun: Reference = reference.parse().ok()?;
    (begun.is_pinned() && begun.same_place(&named)).then_some(reference)
}
