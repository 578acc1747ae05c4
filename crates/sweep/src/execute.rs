//! Executing a plan: several runs at a time, each in its own folder.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use candle_core::Device;
use pfgmpp_data::Found;
use pfgmpp_run::{
    Observer, Outcome, Preflight, Progress, RunError, RunFolder, StopFlag, check_config,
    free_memory, preflight, read_result, run,
};
use pfgmpp_store::{Lock, StoreError, lock, remove_partial, write_file, write_files};

use crate::data::{Loaded, all_references, data_sets, load_data, splits_of};
use crate::pace::Pace;
use crate::queue::Queue;
use crate::report::{figures, latex, markdown, render, summary_csv};
use crate::stale;
use crate::workers::Workers;
use crate::{Jobs, Plan, Point, Row, Status, SweepResult, judgements, report_of};

/// Bytes of a thread's stack: candle's backward pass calls itself as deep as a network is.
const STACK: usize = 8 << 20;

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

/// A plan with everything checked and its folder locked.
pub struct Sweep<'a> {
    plan: &'a Plan,
    out: PathBuf,
    data: Vec<Loaded>,
    preflight: Preflight,
    /// The table before this call: runs that an earlier call finished, and pending ones.
    before: SweepResult,
    lock: Lock,
}

impl<'a> Sweep<'a> {
    /// Checks that every run can begin, then makes and locks the folder `out`.
    ///
    /// # Errors
    ///
    /// A network that does not fit its data, a folder in use, a run folder of another
    /// configuration, too little space; nothing is left behind then.
    pub fn open(plan: &'a Plan, out: &Path, device: &Device) -> Result<Self, RunError> {
        let (data, preflight) = check(plan, out, device)?;
        let references = all_references(plan, &data)?;
        let before = SweepResult::pending(plan, references, data_sets(plan, &data));
        let (lock, before) = open_folder(plan, out, before)?;
        Ok(Self {
            plan,
            out: out.to_path_buf(),
            data,
            preflight,
            before,
            lock,
        })
    }

    /// Checks that every run's network fits its data, that the results fit the disk and that no
    /// folder holds a run of another configuration; writes nothing. Gives what was found of the data, and what was
    /// assumed of models.
    ///
    /// # Errors
    ///
    /// Data that cannot be loaded, a network that does not fit them, too little space, a folder
    /// with another run.
    pub fn check(
        plan: &Plan,
        out: &Path,
        device: &Device,
    ) -> Result<(Vec<Found>, Vec<String>), RunError> {
        check(plan, out, device).map(|(data, preflight)| (found(&data), preflight.notes))
    }

    /// What was assumed of models and of how they are sampled, a sentence each.
    pub fn notes(&self) -> &[String] {
        &self.preflight.notes
    }

    /// What was found where the runs' data were looked for.
    pub fn found(&self) -> Vec<Found> {
        found(&self.data)
    }

    /// How many runs go on at a time, by what is asked for and by the memory.
    pub fn workers(&self, jobs: Option<Jobs>, device: &Device) -> Workers {
        let rows = self.before.rows.iter().zip(&self.preflight.memory);
        let waiting = rows.filter(|(row, _)| row.status != Status::Finished);
        let memory: Vec<u64> = waiting.map(|(_, memory)| *memory).collect();
        let asked = match jobs.unwrap_or(self.plan.jobs) {
            Jobs::Auto if device.is_cpu() => rayon::current_num_threads(),
            // A GPU is one for all.
            Jobs::Auto => 1,
            Jobs::Fixed(jobs) => jobs,
        };
        Workers::that_fit(asked, memory, free_memory())
    }

    /// Executes every run that is not finished on `device` and writes the results, the table after each run unless
    /// that would take much of the time.
    ///
    /// A run that fails is reported in its row and the others go on.
    ///
    /// # Errors
    ///
    /// Results or a report that cannot be written.
    pub fn execute(
        &self,
        jobs: Option<Jobs>,
        device: &Device,
        observer: &dyn SweepObserver,
        stop: &StopFlag,
    ) -> Result<SweepResult, RunError> {
        let mut waiting = Vec::new();
        for (index, row) in self.before.rows.iter().enumerate() {
            match row.status {
                Status::Finished => observer.ended(index, row),
                _ => waiting.push(index),
            }
        }
        let cores = rayon::current_num_threads();
        let workers = self.workers(jobs, device).fit;
        let threads = (cores / workers).max(1);
        let execution = Execution {
            sweep: self,
            device,
            queue: Queue::new(self.plan, waiting),
            result: Mutex::new(self.before.clone()),
            written: Mutex::default(),
            observer,
            stop,
        };
        thread::scope(|scope| {
            let worker = || execution.work(threads);
            let handles: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
            handles
                .into_iter()
                .try_for_each(|handle| handle.join().expect("a worker catches its runs' panics"))
        })?;
        let result = execution.result();
        self.lock.check()?;
        result.write(&self.out)?;
        self.write_report(&result)?;
        Ok(result.clone())
    }

    /// Writes what is made of the finished table: the report, its tables as text and its figures.
    fn write_report(&self, result: &SweepResult) -> Result<(), RunError> {
        let report = report_of(self.plan, result, &self.out);
        let put = |name: &str, text: &str| {
            let path = self.out.join(name);
            write_file(&path, text.as_bytes()).map_err(RunError::io(&path))
        };
        put("summary.csv", &summary_csv(&judgements(result)))?;
        put("results.md", &markdown(&report))?;
        put("results.tex", &latex(&report))?;
        let folder = self.out.join("figures");
        std::fs::create_dir_all(&folder).map_err(RunError::io(&folder))?;
        let figures = figures(&report).into_iter();
        let figures = figures.map(|(name, svg)| (folder.join(name + ".svg"), svg));
        write_files(&figures.collect::<Vec<_>>())?;
        put("report.html", &render(&report))
    }
}

/// What the workers of one call share.
struct Execution<'a> {
    sweep: &'a Sweep<'a>,
    device: &'a Device,
    queue: Queue<'a>,
    result: Mutex<SweepResult>,
    written: Mutex<Pace>,
    observer: &'a dyn SweepObserver,
    stop: &'a StopFlag,
}

impl Execution<'_> {
    /// Takes one run after the other until none is left or a stop is asked for.
    fn work(&self, threads: usize) -> Result<(), RunError> {
        let out = &self.sweep.out;
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
            self.queue.end(index);
            self.observer.ended(index, &result.rows[index]);
            self.sweep.lock.check()?;
            // The table is made again of the runs' own files, so that a late one loses nothing.
            let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
            written.now_and_then(|| result.write(out))?;
        }
        Ok(())
    }

    fn run_one(&self, index: usize) -> Row {
        let point = &self.sweep.plan.points[index];
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
        self.sweep.lock.check()?;
        let folder = RunFolder::open(&self.sweep.out.join(&point.name))?;
        self.observer.started(index, point);
        let mut watch = Watch {
            index,
            observer: self.observer,
        };
        let splits = splits_of(&self.sweep.data, &point.config);
        let (config, device) = (&point.config, self.device);
        run(config, splits, &folder, device, &mut watch, self.stop)
    }

    /// The name of the run whose model `point` samples, if that one failed.
    fn failed_provider(&self, point: &Point) -> Option<String> {
        let result = self.result();
        let provider = &result.rows[point.provider?];
        (provider.status == Status::Failed).then(|| provider.name.clone())
    }

    fn result(&self) -> MutexGuard<'_, SweepResult> {
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

fn found(data: &[Loaded]) -> Vec<Found> {
    data.iter()
        .map(|(_, splits)| splits.found.clone())
        .collect()
}

/// What [`Sweep::check`] checks; gives the data and what there is to say of the models.
fn check(plan: &Plan, out: &Path, device: &Device) -> Result<(Vec<Loaded>, Preflight), RunError> {
    if out.exists() && !out.is_dir() {
        let path = out.to_path_buf();
        return Err(StoreError::NotAFolder { path }.into());
    }
    let data = load_data(plan)?;
    let runs = plan.points.iter().map(|point| {
        let splits = splits_of(&data, &point.config);
        (out.join(&point.name), &point.config, splits)
    });
    let preflight = preflight(runs, out, device)?;
    for point in &plan.points {
        check_config(&point.config, &out.join(&point.name))?;
    }
    Ok((data, preflight))
}

/// Makes and locks `out`, and reads what earlier calls finished in it.
fn open_folder(
    plan: &Plan,
    out: &Path,
    pending: SweepResult,
) -> Result<(Lock, SweepResult), RunError> {
    let existed = out.exists();
    let lock = lock(out)?;
    let before = read_folder(plan, out, pending).inspect_err(|_| {
        if !existed {
            // What could not be begun leaves nothing; a failure here adds nothing to the error.
            let _ = std::fs::remove_dir_all(out);
        }
    })?;
    Ok((lock, before))
}

fn read_folder(plan: &Plan, out: &Path, mut before: SweepResult) -> Result<SweepResult, RunError> {
    remove_partial(out).map_err(RunError::io(out))?;
    for (point, row) in plan.points.iter().zip(&mut before.rows) {
        let path = out.join(&point.name);
        if path.exists() {
            let folder = RunFolder::open(&path)?;
            check_config(&point.config, &path)?;
            if let Some(result) = read_result(&point.config, &folder)? {
                row.finish(result);
                row.skipped = true;
            }
        }
    }
    stale::take_back(plan, out, &mut before)?;
    before.write(out)?;
    Ok(before)
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic".to_string())
        .replace('\n', " ")
}
