//! A plan whose runs' names have been found.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use pfgmpp_hub::Hub;
use pfgmpp_run::{Lookup, ResolvedRun, RunError};

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
        let lookup = Lookup::new(hub, &folders);
        let mut runs = Vec::with_capacity(self.points.len());
        for (point, folder) in self.points.iter_mut().zip(&folders) {
            let run = ResolvedRun::resolve(point.config.clone(), Some(folder), &lookup)?;
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
