//! A plan whose runs' names have been found.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use pfgmpp_config::{CheckpointSource, ModelConfig};
use pfgmpp_data::DataSource;
use pfgmpp_hub::Hub;
use pfgmpp_run::{ResolvedRun, RunError, measured_sigma_data, with_sigma_data};

use crate::Plan;

/// A [`Plan`] after everything that its runs name was found; the configurations of its points are those of its runs.
#[derive(Clone, Debug)]
pub struct ResolvedPlan {
    plan: Plan,
    runs: Vec<ResolvedRun>,
}

impl Plan {
    /// As [`ResolvedRun::resolve`], for every run, which goes to a folder in `out`; what several runs name is looked up
    /// once, so that all of them mean the same bytes.
    ///
    /// # Errors
    ///
    /// What the Hub has not or does not give.
    pub fn resolve(mut self, out: &Path, hub: &Hub) -> Result<ResolvedPlan, RunError> {
        let folders: Vec<PathBuf> = self.points.iter().map(|p| out.join(&p.name)).collect();
        let mut found: Vec<(String, ResolvedRun)> = Vec::new();
        let mut runs = Vec::with_capacity(self.points.len());
        let mut measured: Vec<(DataSource, f64)> = Vec::new();
        for (point, folder) in self.points.iter_mut().zip(&folders) {
            let mut config = point.config.clone();
            // Once for all runs on the same data.
            let known = measured.iter().find(|(data, _)| *data == config.data);
            let sigma_data = match known {
                Some((_, known)) => Some(*known),
                None => {
                    config.data.fetch(hub)?;
                    measured_sigma_data(&config, hub)?
                }
            };
            if let Some(sigma_data) = sigma_data {
                measured.push((config.data.clone(), sigma_data));
                config = with_sigma_data(config, sigma_data);
            }
            let named = match &config.model {
                ModelConfig::Checkpoint {
                    source: CheckpointSource::Reference(named),
                } => Some(named.clone()),
                _ => None,
            };
            let before = found
                .iter()
                .find(|(other, _)| Some(other) == named.as_ref());
            let run = match before {
                Some((_, before)) => ResolvedRun::with_weights_of(config, before),
                None => ResolvedRun::resolve(config, Some(folder), &folders, hub)?,
            };
            if let (Some(named), None) = (named, before) {
                found.push((named, run.clone()));
            }
            point.config.clone_from(run.config());
            runs.push(run);
        }
        Ok(ResolvedPlan { plan: self, runs })
    }
}

impl ResolvedPlan {
    /// The runs, in the order of the plan's points.
    pub fn runs(&self) -> &[ResolvedRun] {
        &self.runs
    }
}

impl Deref for ResolvedPlan {
    type Target = Plan;

    fn deref(&self) -> &Plan {
        &self.plan
    }
}
