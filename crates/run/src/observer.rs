//! What a run tells whoever watches it, and how it is asked to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::RunError;

/// What a run is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Training; progress is in images.
    Training,
    /// Drawing the samples to score; progress is in samples.
    Sampling,
    /// Looking at images through a network, for scores; progress is in images.
    Features,
    /// Scoring samples; progress is in scores, or in sets of samples where several are scored by all.
    Scoring,
}

/// How far a run has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// What it is doing.
    pub phase: Phase,
    /// Images or samples done.
    pub done: u64,
    /// Images or samples in all.
    pub total: u64,
    /// Loss, mean over the images since the last log line; `None` before the first.
    pub loss: Option<f64>,
    /// Seconds left in this phase at the speed so far; `None` at its start.
    pub seconds_left: Option<f64>,
}

/// Watches a run.
pub trait Observer {
    /// Called after every step.
    fn progress(&mut self, progress: &Progress);
    /// Called with what there is to say of a run beside how far it is, one line each.
    fn note(&mut self, note: &str);
}

/// A request to stop, shared between a signal handler and the runs that heed it.
#[derive(Clone, Debug, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// Asks every holder of this flag to save and stop.
    pub fn raise(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// `result`, or [`RunError::Stopped`] in place of a failure that a stop has brought about.
    pub(crate) fn blame<T, E: Into<RunError>>(&self, result: Result<T, E>) -> Result<T, RunError> {
        match result {
            Err(_) if self.is_raised() => Err(RunError::Stopped),
            other => other.map_err(E::into),
        }
    }

    /// Whether a stop was asked for.
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
