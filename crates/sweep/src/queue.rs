//! Which run is next.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pfgmpp_run::StopFlag;

use crate::Plan;

/// How far a run is that is not executed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Elsewhere {
    /// It has its result.
    Finished,
    /// Another process is at it.
    Held,
    /// Nobody is.
    Free,
}

/// How often a run of another call is looked after that one here waits for.
const BETWEEN: Duration = Duration::from_millis(500);

/// Hands runs out to several workers, one that samples another's model after that one has ended.
pub(crate) struct Queue<'p> {
    plan: &'p Plan,
    /// Whether a run begins, and fails for want of its model, where nobody is at the one that trains it.
    never_waits_for_nobody: bool,
    /// How far a run is that another process had.
    look: Box<dyn Fn(usize) -> Elsewhere + Sync + 'p>,
    state: Mutex<State>,
    /// Told when a run ends.
    ended: Condvar,
}

struct State {
    /// In the order of the plan.
    waiting: Vec<usize>,
    /// Handed out.
    at_work: Vec<usize>,
    /// Handed out, and given back because another process had them.
    left: Vec<usize>,
    /// For each run of the plan, whether nothing is to be waited for.
    ended: Vec<bool>,
}

impl<'p> Queue<'p> {
    /// The runs of `plan` that are `waiting`; of the others those that are `ended` are not waited for.
    ///
    /// - `look`: how far a run is that another call takes, or that another process had.
    pub fn new(
        plan: &'p Plan,
        waiting: Vec<usize>,
        ended: Vec<bool>,
        look: impl Fn(usize) -> Elsewhere + Sync + 'p,
    ) -> Self {
        Self {
            plan,
            never_waits_for_nobody: false,
            look: Box::new(look),
            state: Mutex::new(State {
                waiting,
                at_work: Vec::new(),
                left: Vec::new(),
                ended,
            }),
            ended: Condvar::new(),
        }
    }

    /// The same, and if `never`, with runs that do not wait for one that nobody is at: it may never come.
    pub fn without_waiting_for_nobody(mut self, never: bool) -> Self {
        self.never_waits_for_nobody = never;
        self
    }

    /// The first run that can begin, waiting until one can; `None` when none is left or a stop is
    /// asked for.
    ///
    /// A run waits only for one that trains, which waits for nothing, so that some worker is at it, it is the first that
    /// can begin, or another call has it.
    pub fn take(&self, stop: &StopFlag) -> Option<usize> {
        let mut state = self.state();
        loop {
            if stop.is_raised() {
                return None;
            }
            let can_begin = |&run: &usize| {
                let provider = self.plan.points[run].provider;
                provider.is_none_or(|provider| state.ended[provider])
            };
            if let Some(first) = state.waiting.iter().position(can_begin) {
                let run = state.waiting.remove(first);
                state.at_work.push(run);
                return Some(run);
            }
            if self.look_elsewhere(&mut state) {
                continue;
            }
            if state.waiting.is_empty() {
                return None;
            }
            let woken = self.ended.wait_timeout(state, BETWEEN);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Takes note of what became of runs that others have; whether anything may begin by that.
    fn look_elsewhere(&self, state: &mut State) -> bool {
        let mut changed = false;
        // One whose process has gone without a result is taken up here.
        for run in std::mem::take(&mut state.left) {
            match (self.look)(run) {
                Elsewhere::Held => state.left.push(run),
                Elsewhere::Finished => (state.ended[run], changed) = (true, true),
                Elsewhere::Free => {
                    state.waiting.push(run);
                    changed = true;
                }
            }
        }
        let here = |run: &usize| state.waiting.contains(run) || state.at_work.contains(run);
        let providers = state.waiting.iter();
        let providers = providers.filter_map(|&run| self.plan.points[run].provider);
        let others = providers.filter(|run| !state.ended[*run] && !here(run));
        let finished = others.filter(|run| match (self.look)(*run) {
            Elsewhere::Finished => true,
            Elsewhere::Held => false,
            Elsewhere::Free => self.never_waits_for_nobody,
        });
        let finished: Vec<usize> = finished.collect();
        finished.iter().for_each(|&run| state.ended[run] = true);
        changed || !finished.is_empty()
    }

    /// Gives back a run that another process has.
    pub fn leave(&self, run: usize) {
        let mut state = self.state();
        state.at_work.retain(|other| *other != run);
        state.left.push(run);
    }

    /// Says that `run` has ended, however it did.
    pub fn end(&self, run: usize) {
        let mut state = self.state();
        state.at_work.retain(|other| *other != run);
        state.ended[run] = true;
        self.ended.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
