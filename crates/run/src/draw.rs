//! Drawing many samples on all threads, whatever the batch size.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use candle_core::{Device, Tensor};

use crate::error::RunError;
use crate::observer::StopFlag;
use crate::sampling_model::SamplingModel;

/// Samples to draw, and how.
pub struct Draw<'a> {
    /// The model.
    pub model: &'a SamplingModel,
    /// One seed a sample.
    pub seeds: &'a [u64],
    /// Samples drawn at a time, by all threads together but at least one by each; it changes no sample.
    pub batch_size: usize,
    /// Where the model lies.
    pub device: &'a Device,
}

impl Draw<'_> {
    /// Draws every sample and hands `take` the place of each group in `seeds` and the group itself,
    /// `[n, C, H, W]`, as it is finished, in no order; `false` when asked to stop before the end, within a
    /// group as well.
    ///
    /// On the CPU each of the current pool's threads draws groups of its own: small networks have too
    /// little work in one operation for several. One sample, or a batch on another device, is left to
    /// the operations.
    ///
    /// # Errors
    ///
    /// The first failure of the model or of `take`.
    pub fn run<E: From<RunError>>(
        &self,
        stop: &StopFlag,
        take: impl FnMut(Range<usize>, Tensor) -> Result<(), E>,
    ) -> Result<bool, E> {
        let threads = match self.device {
            Device::Cpu => rayon::current_num_threads(),
            _ => 1,
        };
        let workers = threads.clamp(1, self.seeds.len().max(1));
        let size = self.batch_size.div_ceil(workers).max(1);
        if workers == 1 {
            self.run_here(size, stop, take)
        } else {
            self.run_apart(workers, threads / workers, size, stop, take)
        }
    }

    /// Draws groups of `size` one after the other.
    fn run_here<E: From<RunError>>(
        &self,
        size: usize,
        stop: &StopFlag,
        mut take: impl FnMut(Range<usize>, Tensor) -> Result<(), E>,
    ) -> Result<bool, E> {
        let len = self.seeds.len();
        for start in (0..len).step_by(size) {
            if stop.is_raised() {
                return Ok(false);
            }
            let group = start..(start + size).min(len);
            match self.group(&group, stop) {
                Ok(samples) => take(group, samples)?,
                Err(RunError::Stopped) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    /// Draws groups of `size` with `workers` of `threads` threads each; `take` runs on this thread.
    fn run_apart<E: From<RunError>>(
        &self,
        workers: usize,
        threads: usize,
        size: usize,
        stop: &StopFlag,
        mut take: impl FnMut(Range<usize>, Tensor) -> Result<(), E>,
    ) -> Result<bool, E> {
        let (next, gone) = (AtomicUsize::new(0), AtomicBool::new(false));
        let go_on = || !stop.is_raised() && !gone.load(Ordering::SeqCst);
        thread::scope(|scope| {
            let (sender, receiver) = sync_channel(workers);
            for _ in 0..workers {
                let (sender, next) = (sender.clone(), &next);
                scope.spawn(move || self.work(threads, size, next, stop, go_on, &sender));
            }
            drop(sender);
            let mut left = self.seeds.len();
            for (group, samples) in receiver {
                if matches!(samples, Err(RunError::Stopped)) {
                    continue;
                }
                left -= group.len();
                let taken = samples.map_err(E::from);
                let taken = taken.and_then(|samples| take(group, samples));
                if taken.is_err() {
                    gone.store(true, Ordering::SeqCst);
                    return taken.map(|()| false);
                }
            }
            Ok(left == 0)
        })
    }

    /// Draws one group after the other on `threads` threads of its own until none is left.
    fn work(
        &self,
        threads: usize,
        size: usize,
        next: &AtomicUsize,
        stop: &StopFlag,
        go_on: impl Fn() -> bool,
        sender: &SyncSender<(Range<usize>, Result<Tensor, RunError>)>,
    ) {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        while go_on() {
            let start = next.fetch_add(size, Ordering::SeqCst);
            if start >= self.seeds.len() {
                return;
            }
            let group = start..(start + size).min(self.seeds.len());
            let samples = match &pool {
                Ok(pool) => pool.install(|| self.group(&group, stop)),
                // Without a pool of its own the operations share the program's.
                Err(_) => self.group(&group, stop),
            };
            // Nobody receives any more after a failure.
            if sender.send((group, samples)).is_err() {
                return;
            }
        }
    }

    fn group(&self, group: &Range<usize>, stop: &StopFlag) -> Result<Tensor, RunError> {
        let seeds = &self.seeds[group.clone()];
        self.model.sample_until(seeds, self.device, stop)
    }

    /// As [`Self::run`], the groups in the order of their seeds and in host memory.
    ///
    /// A group that is finished before its turn is kept, at most about one for each thread.
    ///
    /// # Errors
    ///
    /// As [`Self::run`].
    pub fn run_in_order<E: From<RunError>>(
        &self,
        stop: &StopFlag,
        mut take: impl FnMut(Range<usize>, Tensor) -> Result<(), E>,
    ) -> Result<bool, E> {
        let (mut waiting, mut next) = (BTreeMap::new(), 0);
        self.run(stop, |group, samples| {
            let samples = samples.to_device(&Device::Cpu).map_err(RunError::from)?;
            waiting.insert(group.start, (group, samples));
            while let Some((group, samples)) = waiting.remove(&next) {
                next = group.end;
                take(group, samples)?;
            }
            Ok(())
        })
    }

    /// As [`Self::run`], all samples in the order of their seeds in host memory, `[n, C, H, W]`; `None`
    /// when asked to stop. `progress` is told how many have been drawn.
    ///
    /// # Errors
    ///
    /// The first failure of the model.
    pub fn collect(
        &self,
        stop: &StopFlag,
        mut progress: impl FnMut(u64),
    ) -> Result<Option<Tensor>, RunError> {
        let mut drawn = Vec::new();
        let all = self.run_in_order::<RunError>(stop, |group, samples| {
            drawn.push(samples);
            progress(group.end as u64);
            Ok(())
        })?;
        if !all {
            return Ok(None);
        }
        Ok(Some(Tensor::cat(&drawn, 0)?))
    }
}
