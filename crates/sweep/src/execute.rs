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
use pfgmpp_store::{Lock, StoreError, is_held, share, write_file, write_files};

use crate::data::{Loaded, all_references, data_sets, load_data, splits_of};
use crate::folder::read_rows;
use crate::pace::Pace;
use crate::plan_file::{agree, write_plan};
use crate::queue::{Elsewhere, Queue};
use crate::report::{figures, latex, markdown, render, summary_csv};
use crate::stale;
use crate::workers::Workers;
use crate::{Jobs, Plan, Point, Row, Share, Status, SweepResult, judgements, report_of};

/// Bytes of a thread's stack: candle's backward pass calls itself as deep as a network is.
const STACK: usize = 8 << 20;

/// Times that the table is written at the end while other calls finish runs of theirs.
const ATTEMPTS: usize = 5;

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

/// A plan with everything checked, and its folder, which other calls may share: each run is held by itself.
pub struct Sweep<'a> {
    plan: &'a Plan,
    share: &'a Share,
    /// For each run, whether this call takes it.
    taken: Vec<bool>,
    out: PathBuf,
    data: Vec<Loaded>,
    preflight: Preflight,
    /// The table before this call: runs that an earlier call finished, and pending ones.
    before: SweepResult,
    lock: Lock,
}

impl<'a> Sweep<'a> {
    /// Checks that every run can begin, then makes the folder `out`, or takes part in it. A call that takes a part of
    /// the runs leaves the table and the report to [`Self::collect`].
    ///
    /// # Errors
    ///
    /// A network that does not fit its data, a run folder of another configuration, another plan than that of which a
    /// part is taken, too little space; nothing is left behind then.
    pub fn open(
        plan: &'a Plan,
        share: &'a Share,
        out: &Path,
        device: &Device,
    ) -> Result<Self, RunError> {
        let taken = share.of(plan)?;
        let (data, preflight) = check(plan, out, device)?;
        let references = all_references(plan, &data)?;
        let before = SweepResult::pending(plan, references, data_sets(plan, &data));
        let (lock, before) = open_folder(plan, share, out, before)?;
        Ok(Self {
            plan,
            share,
            taken,
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

    /// How far the runs of `plan` in the folder `out` have come; writes nothing, and needs neither data nor lock.
    ///
    /// # Errors
    ///
    /// A run of another configuration, a result that cannot be read.
    pub fn status(plan: &Plan, out: &Path) -> Result<SweepResult, RunError> {
        let mut table = SweepResult::pending(plan, Vec::new(), Vec::new());
        read_rows(plan, out, &mut table)?;
        Ok(table)
    }

    /// Writes the table and the report of what is finished by now, whoever has executed it.
    ///
    /// # Errors
    ///
    /// A folder that is not there, and what [`Self::status`] refuses.
    pub fn collect(plan: &Plan, out: &Path) -> Result<SweepResult, RunError> {
        if !out.is_dir() {
            let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(RunError::io(out)(missing));
        }
        let data = load_data(plan)?;
        let references = all_references(plan, &data)?;
        let mut table = SweepResult::pending(plan, references, data_sets(plan, &data));
        let _part = share(out)?;
        read_rows(plan, out, &mut table)?;
        write_all(plan, out, &table)?;
        Ok(table)
    }

    /// Writes the plan into the folder `out`, for calls that take parts of it.
    ///
    /// # Errors
    ///
    /// What [`Self::check`] refuses, and any failure of the file system.
    pub fn write_plan(plan: &Plan, out: &Path, device: &Device) -> Result<(), RunError> {
        check(plan, out, device)?;
        let _part = share(out)?;
        write_plan(plan, out)
    }

    /// Runs that this call takes.
    pub fn num_taken(&self) -> usize {
        self.taken.iter().filter(|taken| **taken).count()
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
        let rows = self.before.rows.iter().zip(&self.taken);
        let waiting = rows.map(|(row, taken)| *taken && row.status != Status::Finished);
        let memory = waiting.zip(&self.preflight.memory);
        let memory: Vec<u64> = memory
            .filter_map(|(waiting, memory)| waiting.then_some(*memory))
            .collect();
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
                _ if !self.taken[index] => {}
                Status::Finished => observer.ended(index, row),
                _ => waiting.push(index),
            }
        }
        let ended = self.before.rows.iter();
        let ended = ended.map(|row| row.status == Status::Finished).collect();
        let cores = rayon::current_num_threads();
        let workers = self.workers(jobs, device).fit;
        let threads = (cores / workers).max(1);
        let execution = Execution {
            sweep: self,
            device,
            queue: Queue::new(self.plan, waiting, ended, |run| self.look(run)),
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
        let mut result = execution.result().clone();
        self.lock.check()?;
        if self.share.is_part() {
            read_rows(self.plan, &self.out, &mut result)?;
            return Ok(result);
        }
        // Another call that ends just now may have written a table without the last runs of this one.
        for _ in 0..ATTEMPTS {
            read_rows(self.plan, &self.out, &mut result)?;
            write_all(self.plan, &self.out, &result)?;
            let mut again = result.clone();
            read_rows(self.plan, &self.out, &mut again)?;
            if again == result {
                break;
            }
        }
        Ok(result)
    }

    /// How far a run is that is not executed here.
    fn look(&self, run: usize) -> Elsewhere {
        let point = &self.plan.points[run];
        let path = self.out.join(&point.name);
        match read_result(&point.config, &path) {
            Ok(Some(_)) => Elsewhere::Finished,
            // What cannot be read is as good as not there: whoever takes it up says why.
            _ if is_held(&path) => Elsewhere::Held,
            _ => Elsewhere::Free,
        }
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
            match result.rows[index].status {
                Status::Running => self.queue.leave(index),
                _ => self.queue.end(index),
            }
            self.observer.ended(index, &result.rows[index]);
            self.sweep.lock.check()?;
            if self.sweep.share.is_part() {
                continue;
            }
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
            Ok(Err(RunError::Store(StoreError::InUse { .. } | StoreError::Claimed { .. }))) => {
                row.status = Status::Running;
                row.message = "another process is at it".to_string();
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
        let folder = RunFolder::open_soon(&self.sweep.out.join(&point.name))?;
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

/// Makes `out` or takes part in it, and reads what is finished in it.
fn open_folder(
    plan: &Plan,
    part: &Share,
    out: &Path,
    pending: SweepResult,
) -> Result<(Lock, SweepResult), RunError> {
    let existed = out.exists();
    let lock = share(out)?;
    let before = read_folder(plan, part, out, pending).inspect_err(|_| {
        if !existed {
            // What could not be begun leaves nothing; a failure here adds nothing to the error.
            let _ = std::fs::remove_dir_all(out);
        }
    })?;
    Ok((lock, before))
}

fn read_folder(
    plan: &Plan,
    part: &Share,
    out: &Path,
    mut before: SweepResult,
) -> Result<SweepResult, RunError> {
    if part.is_part() {
        agree(plan, out)?;
    }
    read_rows(plan, out, &mut before)?;
    stale::take_back(plan, out, &mut before)?;
    if !part.is_part() {
        before.write(out)?;
    }
    Ok(before)
}

/// Writes the table, and what is made of it: the report, its tables as text and its figures.
fn write_all(plan: &Plan, out: &Path, result: &SweepResult) -> Result<(), RunError> {
    result.write(out)?;
    let report = report_of(plan, result, out);
    let put = |name: &str, text: &str| {
        let path = out.join(name);
        write_file(&path, text.as_bytes()).map_err(RunError::io(&path))
    };
    put("summary.csv", &summary_csv(&judgements(result)))?;
    put("results.md", &markdown(&report))?;
    put("results.tex", &latex(&report))?;
    let folder = out.join("figures");
    std::fs::create_dir_all(&folder).map_err(RunError::io(&folder))?;
    let figures = figures(&report).into_iter();
    let figures = figures.map(|(name, svg)| (folder.join(name + ".svg"), svg));
    write_files(&figures.collect::<Vec<_>>())?;
    put("report.html", &render(&report))
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic".to_string())
        .replace('\n', " ")
}
