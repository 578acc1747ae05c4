//! Which run is next.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use pfgmpp_run::StopFlag;

use crate::Plan;

/// Hands runs out to several workers, one that samples another's model after that one has ended.
pub(crate) struct Queue<'p> {
    plan: &'p Plan,
    state: Mutex<State>,
    /// Told when a run ends.
    ended: Condvar,
}

struct State {
    /// In the order of the plan.
    waiting: Vec<usize>,
    /// For each run of the plan, whether nothing is to be waited for.
    ended: Vec<bool>,
}

impl<'p> Queue<'p> {
    /// The runs of `plan` that are `waiting`; the others have ended.
    pub fn new(plan: &'p Plan, waiting: Vec<usize>) -> Self {
        let ended = (0..plan.points.len()).map(|run| !waiting.contains(&run));
        let ended = ended.collect();
        Self {
            plan,
            state: Mutex::new(State { waiting, ended }),
            ended: Condvar::new(),
        }
    }

    /// The first run that can begin, waiting until one can; `None` when none is left or a stop is
    /// asked for.
    ///
    /// A run waits only for one that trains, which waits for nothing, so that some worker is at it
    /// or it is the first that can begin.
    pub fn take(&self, stop: &StopFlag) -> Option<usize> {
        let mut state = self.state();
        loop {
            if stop.is_raised() || state.waiting.is_empty() {
                return None;
            }
            let can_begin = |&run: &usize| {
                let provider = self.plan.points[run].provider;
                provider.is_none_or(|provider| state.ended[provider])
            };
            if let Some(first) = state.waiting.iter().position(can_begin) {
                return Some(state.waiting.remove(first));
            }
            let woken = self.ended.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Says that `run` has ended, however it did.
    pub fn end(&self, run: usize) {
        self.state().ended[run] = true;
        self.ended.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
