//! The workers of one call, each with a run at a time.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use candle_core::Device;
use pfgmpp_run::{Observer, Outcome, Progress, RunError, RunFolder, StopFlag, run};
use pfgmpp_store::{Lock, StoreError};

use crate::data::{Loaded, splits_of};
use crate::observer::SweepObserver;
use crate::pace::Pace;
use crate::queue::Queue;
use crate::{Point, ResolvedPlan, Row, Status, SweepResult};

/// Bytes of a thread's stack: candle's backward pass calls itself as deep as a network is.
const STACK: usize = 8 << 20;

/// What is executed, and where.
pub(crate) struct Place<'a> {
    /// The runs.
    pub plan: &'a ResolvedPlan,
    /// The folder.
    pub out: PathBuf,
    /// Its hold on that.
    pub lock: Lock,
    /// The data sets.
    pub data: Vec<Loaded>,
    /// Whether the call takes a part of the runs and leaves the table to another.
    pub is_part: bool,
}

impl Place<'_> {
    /// `error`, or that the folder is gone where that has brought it about.
    pub fn blame(&self, error: RunError) -> RunError {
        self.lock.check().err().map_or(error, RunError::from)
    }
}

/// What the workers of one call share.
pub(crate) struct Execution<'a> {
    pub place: &'a Place<'a>,
    pub device: &'a Device,
    pub queue: Queue<'a>,
    pub result: Mutex<SweepResult>,
    pub written: Mutex<Pace>,
    pub observer: &'a dyn SweepObserver,
    pub stop: &'a StopFlag,
}

impl Execution<'_> {
    /// Takes one run after the other until none is left or a stop is asked for.
    pub fn work(&self, threads: usize) -> Result<(), RunError> {
        let out = &self.place.out;
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .stack_size(STACK)
            .build();
        let pool = pool.map_err(|e| RunError::io(out)(std::io::Error::other(e)))?;
        while let Some(index) = self.queue.take(self.stop) {
            let row = pool.install(|| self.run_one(index));
            let mut result = self.result();
            result.rows[index] = row;
            // Whoever waits for this run finds its row, whatever becomes of what follows.
            match result.rows[index].status {
                Status::Running => self.queue.leave(index),
                _ => self.queue.end(index),
            }
            self.observer.ended(index, &result.rows[index]);
            self.place.lock.check()?;
            if self.place.is_part {
                continue;
            }
            // The table is made again of the runs' own files, so that a late one loses nothing.
            let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
            let written = written.now_and_then(|| result.write(out));
            written.map_err(|error| self.place.blame(error))?;
        }
        Ok(())
    }

    fn run_one(&self, index: usize) -> Row {
        let point = &self.place.plan.points[index];
        let mut row = Row::pending(point);
        if let Some(provider) = self.failed_provider(point) {
            row.status = Status::Failed;
            row.message = format!("{provider}, whose model it samples, failed");
            return row;
        }
        let attempt = catch_unwind(AssertUnwindSafe(|| self.attempt(index, point)));
        match attempt {
            Ok(Ok(Outcome::Finished(result))) => row.finish(result),
            Ok(Ok(Outcome::Interrupted { nimg })) => {
                row.status = Status::Interrupted;
                row.message = match nimg {
                    0 => "stopped before its first sample".to_string(),
                    _ => format!("stopped after {nimg} images"),
                };
            }
            Ok(Err(RunError::Store(StoreError::InUse { .. } | StoreError::Claimed { .. }))) => {
                row.status = Status::Running;
                row.message = "another process is running it".to_string();
            }
            Ok(Err(error)) => {
                row.status = Status::Failed;
                row.bad_input = error.is_bad_input();
                row.message = error.to_string();
            }
            Err(panic) => {
                row.status = Status::Failed;
                row.message = format!("a defect of this program: {}", panic_message(&*panic));
            }
        }
        row
    }

    fn attempt(&self, index: usize, point: &Point) -> Result<Outcome, RunError> {
        // What is made in a folder that is gone would bring it back empty.
        self.place.lock.check()?;
        let sweep = &self.place.out;
        let folder = RunFolder::open_within(sweep, &sweep.join(&point.name))?;
        self.observer.started(index, point);
        let mut watch = Watch {
            index,
            observer: self.observer,
        };
        let splits = splits_of(&self.place.data, &point.config);
        let (resolved, device) = (&self.place.plan.runs()[index], self.device);
        run(resolved, splits, &folder, device, &mut watch, self.stop)
    }

    /// The name of the run whose model `point` samples, if that one failed.
    fn failed_provider(&self, point: &Point) -> Option<String> {
        let result = self.result();
        let provider = &result.rows[point.provider?];
        (provider.status == Status::Failed).then(|| provider.name.clone())
    }

    pub fn result(&self) -> MutexGuard<'_, SweepResult> {
        self.result.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One run's observer, which passes everything on with the run's index.
struct Watch<'a> {
    index: usize,
    observer: &'a dyn SweepObserver,
}

impl Observer for Watch<'_> {
    fn progress(&mut self, progress: &Progress) {
        self.observer.progress(self.index, progress);
    }

    fn note(&mut self, note: &str) {
        self.observer.note(self.index, note);
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic".to_string())
        .replace('\n', " ")
}
