//! Work on many items on all threads, whatever the batch size.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use candle_core::Device;

use crate::error::RunError;
use crate::observer::StopFlag;

/// Items that a model works on in groups.
pub(crate) struct Groups<'a> {
    /// The number of items.
    pub len: usize,
    /// Items worked on at a time, by all threads together but at least one by each.
    pub batch_size: usize,
    /// Where the model lies.
    pub device: &'a Device,
}

impl Groups<'_> {
    /// Calls `make` for every group and hands `take` the group and what was made of it, as it is finished, in no
    /// order; `false` when asked to stop before the end, within a group as well.
    ///
    /// On the CPU each of the current pool's threads works on groups of its own: small networks have too
    /// little work in one operation for several. One item, or a batch on another device, is left to
    /// the operations.
    ///
    /// # Errors
    ///
    /// The first failure of `make` or of `take`.
    pub fn run<T: Send, E: From<RunError>>(
        &self,
        stop: &StopFlag,
        make: impl Fn(Range<usize>) -> Result<T, RunError> + Sync,
        take: impl FnMut(Range<usize>, T) -> Result<(), E>,
    ) -> Result<bool, E> {
        let threads = match self.device {
            Device::Cpu => rayon::current_num_threads(),
            _ => 1,
        };
        let workers = threads.clamp(1, self.len.max(1));
        let size = self.batch_size.div_ceil(workers).max(1);
        if workers == 1 {
            self.run_here(size, stop, make, take)
        } else {
            self.run_apart((workers, threads / workers), size, stop, make, take)
        }
    }

    /// As [`Self::run`], the groups in their order.
    ///
    /// A group that is finished before its turn is kept, at most about one for each thread.
    ///
    /// # Errors
    ///
    /// As [`Self::run`].
    pub fn run_in_order<T: Send, E: From<RunError>>(
        &self,
        stop: &StopFlag,
        make: impl Fn(Range<usize>) -> Result<T, RunError> + Sync,
        mut take: impl FnMut(Range<usize>, T) -> Result<(), E>,
    ) -> Result<bool, E> {
        let (mut waiting, mut next) = (BTreeMap::new(), 0);
        self.run(stop, make, |group, made| {
            waiting.insert(group.start, (group, made));
            while let Some((group, made)) = waiting.remove(&next) {
                next = group.end;
                take(group, made)?;
            }
            Ok(())
        })
    }

    /// Groups of `size` one after the other.
    fn run_here<T, E: From<RunError>>(
        &self,
        size: usize,
        stop: &StopFlag,
        make: impl Fn(Range<usize>) -> Result<T, RunError>,
        mut take: impl FnMut(Range<usize>, T) -> Result<(), E>,
    ) -> Result<bool, E> {
        for start in (0..self.len).step_by(size) {
            if stop.is_raised() {
                return Ok(false);
            }
            let group = start..(start + size).min(self.len);
            match make(group.clone()) {
                Ok(made) => take(group, made)?,
                Err(RunError::Stopped) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    /// Groups of `size` by workers of some threads each; `take` runs on this thread.
    fn run_apart<T: Send, E: From<RunError>>(
        &self,
        (workers, threads): (usize, usize),
        size: usize,
        stop: &StopFlag,
        make: impl Fn(Range<usize>) -> Result<T, RunError> + Sync,
        mut take: impl FnMut(Range<usize>, T) -> Result<(), E>,
    ) -> Result<bool, E> {
        let (next, gone) = (AtomicUsize::new(0), AtomicBool::new(false));
        let go_on = || !stop.is_raised() && !gone.load(Ordering::SeqCst);
        thread::scope(|scope| {
            let (sender, receiver) = sync_channel(workers);
            for _ in 0..workers {
                let (sender, next, make) = (sender.clone(), &next, &make);
                scope.spawn(move || self.work(threads, size, next, go_on, make, &sender));
            }
            drop(sender);
            let mut left = self.len;
            for (group, made) in receiver {
                if matches!(made, Err(RunError::Stopped)) {
                    continue;
                }
                left -= group.len();
                let taken = made.map_err(E::from);
                let taken = taken.and_then(|made| take(group, made));
                if taken.is_err() {
                    gone.store(true, Ordering::SeqCst);
                    return taken.map(|()| false);
                }
            }
            Ok(left == 0)
        })
    }

    /// One group after the other on `threads` threads of its own until none is left.
    fn work<T: Send>(
        &self,
        threads: usize,
        size: usize,
        next: &AtomicUsize,
        go_on: impl Fn() -> bool,
        make: &(impl Fn(Range<usize>) -> Result<T, RunError> + Sync),
        sender: &SyncSender<(Range<usize>, Result<T, RunError>)>,
    ) {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        while go_on() {
            let start = next.fetch_add(size, Ordering::SeqCst);
            if start >= self.len {
                return;
            }
            let group = start..(start + size).min(self.len);
            let made = match &pool {
                Ok(pool) => pool.install(|| make(group.clone())),
                // Without a pool of its own the operations share the program's.
                Err(_) => make(group.clone()),
            };
            // Nobody receives any more after a failure.
            if sender.send((group, made)).is_err() {
                return;
            }
        }
    }
}
