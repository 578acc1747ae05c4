//! Whoever watches a sweep.

use pfgmpp_data::Found;
use pfgmpp_run::Progress;

use crate::{Point, Row};

/// Watches a sweep; its methods are called from several threads.
pub trait SweepObserver: Sync {
    /// Everything was checked: `found` where the runs' data were looked for, and what was assumed of models and of how they are
    /// sampled, a sentence each.
    fn checked(&self, found: &[Found], notes: &[String]);
    /// The rows that give the scores a scale have come this far, before any run begins or a table is collected.
    fn references(&self, progress: &Progress);
    /// Run `index` of the plan begins or goes on.
    fn started(&self, index: usize, point: &Point);
    /// Run `index` has come this far.
    fn progress(&self, index: usize, progress: &Progress);
    /// There is this to say of run `index`.
    fn note(&self, index: usize, note: &str);
    /// Run `index` has ended, or had been finished before.
    fn ended(&self, index: usize, row: &Row);
}
