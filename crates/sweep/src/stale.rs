//! Results that no longer hold.

use std::path::Path;

use pfgmpp_run::{RunError, RunFolder, read_result};
use pfgmpp_store::StoreError;

use crate::plan::{Plan, Point};
use crate::results::SweepResult;

/// Takes back the results of runs that sampled the checkpoint of one that now goes on: they are not those of the
/// weights that it will end with.
///
/// # Errors
///
/// Any failure of the file system.
pub(crate) fn take_back(plan: &Plan, out: &Path, before: &mut SweepResult) -> Result<(), RunError> {
    let unfinished = |provider: usize| before.rows[provider].result.is_none();
    let stale: Vec<usize> = (0..plan.points.len())
        .filter(|&i| plan.points[i].provider.is_some_and(unfinished))
        .filter(|&i| before.rows[i].result.is_some())
        .collect();
    if stale.is_empty() {
        return Ok(());
    }
    let pending = SweepResult::pending(plan, Vec::new(), Vec::new());
    for (i, row) in pending.rows.into_iter().enumerate() {
        if stale.contains(&i) {
            // Another call may do the same just now.
            let folder = match RunFolder::open_within(out, &out.join(&plan.points[i].name)) {
                Err(StoreError::InUse { .. } | StoreError::Claimed { .. }) => continue,
                opened => opened?,
            };
            let provider = plan.points[i].provider.map(|run| &plan.points[run]);
            let is_finished = |point: &Point| read_result(&point.config, &out.join(&point.name));
            if provider.map(is_finished).transpose()?.flatten().is_some() {
                continue;
            }
            folder.forget(&folder.metrics())?;
            before.rows[i] = row;
        }
    }
    Ok(())
}
