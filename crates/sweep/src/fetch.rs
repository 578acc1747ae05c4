//! Fetching what the runs of a plan name.

use std::path::{Path, PathBuf};

use pfgmpp_config::{CheckpointSource, ModelConfig};
use pfgmpp_hub::Hub;
use pfgmpp_run::{RunError, fetch};

use crate::Plan;

impl Plan {
    /// As [`fetch`], for every run that goes to `out`; what
    /// several runs name is looked up once, so that all of them mean the same bytes.
    ///
    /// # Errors
    ///
    /// What the Hub has not or does not give.
    pub fn fetch(&mut self, out: &Path, hub: &Hub) -> Result<(), RunError> {
        let folders: Vec<PathBuf> = self.points.iter().map(|p| out.join(&p.name)).collect();
        let mut done: Vec<(CheckpointSource, ModelConfig)> = Vec::new();
        for point in &mut self.points {
            let named = checkpoint(&point.config.model);
            let found = done.iter().find(|(other, _)| Some(other) == named.as_ref());
            if let Some((_, found)) = found {
                take_over(&mut point.config.model, found);
                continue;
            }
            fetch(&mut point.config, &folders, hub)?;
            if let Some(named) = named {
                done.push((named, point.config.model.clone()));
            }
        }
        Ok(())
    }
}

/// The checkpoint that a model is, if it is one.
fn checkpoint(model: &ModelConfig) -> Option<CheckpointSource> {
    match model {
        ModelConfig::Checkpoint { source, .. } => Some(source.clone()),
        _ => None,
    }
}

/// Takes over where a model of the same name was found.
fn take_over(model: &mut ModelConfig, found: &ModelConfig) {
    if let (
        ModelConfig::Checkpoint { source, path, .. },
        ModelConfig::Checkpoint {
            source: found_source,
            path: found_path,
            ..
        },
    ) = (model, found)
    {
        source.clone_from(found_source);
        path.clone_from(found_path);
    }
}
