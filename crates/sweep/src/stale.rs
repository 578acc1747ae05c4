//! Results that no longer hold.

use std::path::Path;

use pfgmpp_run::{RunError, RunFolder};

use crate::plan::Plan;
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
            let path = RunFolder::open_soon(&out.join(&plan.points[i].name))?.metrics();
            std::fs::remove_file(&path).map_err(RunError::io(&path))?;
            before.rows[i] = row;
        }
    }
    Ok(())
}
