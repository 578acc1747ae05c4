//! Threads that stay awake from one operation of an evaluation to the next.
//!
//! An evaluation is a row of short operations, some of them on one thread. A thread of rayon's that finds nothing to do
//! for some ten microseconds falls asleep, and waking it costs as much as it saves on a small network. Nothing that is
//! computed depends on this.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a thread that was called looks for work: many operations, and little where it waits in vain.
const WHILE: Duration = Duration::from_millis(1);

/// An evaluation that this thread is in.
#[derive(Default)]
struct Current {
    /// Whether it has ended.
    ended: Arc<AtomicBool>,
    /// When it last called the other threads.
    called: Option<Instant>,
}

thread_local! {
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
    /// Whether this thread looks for parts of an evaluation of another's.
    static ATTENDS: Cell<bool> = const { Cell::new(false) };
}

/// Puts the evaluation before this one back, also after a panic.
struct Outer(Option<Current>);

impl Drop for Outer {
    fn drop(&mut self) {
        if let Some(ended) = CURRENT.replace(self.0.take()) {
            ended.ended.store(true, Ordering::Release);
        }
    }
}

/// Carries out `evaluation`, whose parallel operations find the other threads awake but for the first of them.
pub(crate) fn awake<T>(evaluation: impl FnOnce() -> T) -> T {
    let _outer = Outer(CURRENT.replace(Some(Current::default())));
    evaluation()
}

/// Keeps the other threads looking for work for a while, if this thread is in an evaluation that has not just called them.
pub(super) fn call_threads() {
    CURRENT.with_borrow_mut(|current| {
        let Some(current) = current else { return };
        if current
            .called
            .is_some_and(|called| called.elapsed() < WHILE)
        {
            return;
        }
        current.called = Some(Instant::now());
        let ended = current.ended.clone();
        rayon::spawn_broadcast(move |_| attend(&ended));
    });
}

/// Takes up whatever work there is until the evaluation has `ended`, for [`WHILE`] at most.
///
/// The evaluation may wait for what lies under this on the thread's own stack, of which nobody can tell: hence the bound. And
/// whoever attends to one already stays with that: evaluations that overlap without end would fill its stack.
fn attend(ended: &AtomicBool) {
    if CURRENT.with_borrow(Option::is_some) || ATTENDS.replace(true) {
        return;
    }
    let began = Instant::now();
    while !ended.load(Ordering::Acquire) && began.elapsed() < WHILE {
        if rayon::yield_now() != Some(rayon::Yield::Executed) {
            std::thread::yield_now();
        }
    }
    ATTENDS.set(false);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::AssertUnwindSafe;

    use rayon::prelude::*;

    fn sum() -> u64 {
        call_threads();
        (0..10_000u64).into_par_iter().map(|i| i % 7).sum()
    }

    #[test]
    fn evaluations_beside_and_within_each_other_end() {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(3)
            .build()
            .unwrap();
        let want: u64 = (0..10_000u64).map(|i| i % 7).sum();
        let all: Vec<u64> = pool.install(|| {
            let evaluation = |_| awake(|| sum() + awake(sum) + sum());
            (0..200).into_par_iter().map(evaluation).collect()
        });
        assert!(all.iter().all(|got| *got == 3 * want), "got {all:?}");
    }

    #[test]
    fn a_thread_that_attends_to_evaluations_which_overlap_without_end_keeps_its_stack() {
        // Little stack, two threads that evaluate without a pause, one that has nothing else to do.
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(3)
            .stack_size(128 << 10)
            .build()
            .unwrap();
        let row = || {
            for _ in 0..3_000 {
                awake(|| sum() + sum());
            }
        };
        pool.install(|| rayon::join(row, row));
    }

    #[test]
    fn evaluations_of_threads_outside_the_pool_end() {
        // Each operation is begun by a worker that may hear of the evaluation while it waits for the operation's other half.
        let row = || {
            for _ in 0..5_000 {
                awake(|| sum() + sum());
            }
        };
        let threads: Vec<_> = (0..3).map(|_| std::thread::spawn(row)).collect();
        for thread in threads {
            thread.join().unwrap();
        }
    }

    #[test]
    fn an_evaluation_that_panics_leaves_no_thread_behind() {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(2)
            .build()
            .unwrap();
        let evaluation = || {
            awake(|| {
                call_threads();
                panic!("as asked for");
            });
        };
        let evaluation = AssertUnwindSafe(|| pool.install(evaluation));
        let panicked: Result<(), _> = std::panic::catch_unwind(evaluation);
        assert!(panicked.is_err());
        assert!(pool.install(|| CURRENT.with_borrow(Option::is_none)));
        // Both threads take part again.
        pool.install(|| rayon::join(sum, sum));
    }
}
