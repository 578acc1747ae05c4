//! Whoever watches a sweep.

use pfgmpp_run::Progress;

use crate::{Point, Row};

/// Watches a sweep; its methods are called from several threads.
pub trait SweepObserver: Sync {
    /// Run `index` of the plan begins or goes on.
    fn started(&self, index: usize, point: &Point);
    /// Run `index` has come this far.
    fn progress(&self, index: usize, progress: &Progress);
    /// There is this to say of run `index`.
    fn note(&self, index: usize, note: &str);
    /// Run `index` has ended, or had been finished before.
    fn ended(&self, index: usize, row: &Row);
}
