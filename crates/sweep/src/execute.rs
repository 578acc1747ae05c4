//! Executing a plan: several runs at a time, each in its own folder.

use std::path::Path;
use std::sync::Mutex;
use std::thread;

use candle_core::Device;
use pfgmpp_config::ConfigError;
use pfgmpp_data::Found;
use pfgmpp_run::{
    Preflight, Ranks, RunError, RunFolder, StopFlag, check_config, check_sources, missing_weights,
    preflight, read_result,
};
use pfgmpp_store::{Lock, StoreError, adopt, check_lockable, is_held, share, share_existing};

use crate::data::{Loaded, data_sets, load_data, splits_of};
use crate::execution::{Execution, Place};
use crate::folder::{check_place, read_rows, try_figures, write_all};
use crate::observer::SweepObserver;
use crate::plan_file::{agree, write_plan};
use crate::queue::{Elsewhere, Queue};
use crate::references::References;
use crate::stale;
use crate::workers::Workers;
use crate::{Jobs, Plan, Point, ResolvedPlan, Row, Share, Status, SweepResult};

/// Times that the table is written at the end while other calls finish runs of theirs.
const ATTEMPTS: usize = 5;

/// A plan with everything checked, and its folder, which other calls may share: each run is held by itself.
pub struct Sweep<'a> {
    place: Place<'a>,
    /// For each run, whether this call takes it.
    taken: Vec<bool>,
    /// Whether it takes runs by their names: whoever asks for those has seen to the models that they sample.
    only: bool,
    preflight: Preflight,
    /// The table before this call: runs that an earlier call finished, and pending ones.
    before: SweepResult,
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
        plan: &'a ResolvedPlan,
        share: &'a Share,
        out: &Path,
        device: &Device,
        observer: &dyn SweepObserver,
    ) -> Result<Self, RunError> {
        let taken = share.of(plan)?;
        let existed = out.is_dir();
        let (data, preflight) = check(plan, out, device)?;
        observer.checked(&found(&data), &preflight.notes);
        let before = SweepResult::pending(plan, Vec::new(), data_sets(plan, &data));
        let (lock, mut before) = open_folder(plan, share, (out, existed), before)?;
        // A part writes no table.
        if !share.is_part() {
            try_figures(out)?;
            let place = (out, &lock);
            let references = References::of(plan, &data, place, device, observer);
            let references = references.inspect_err(|_| {
                if !existed {
                    leave(out);
                }
            });
            before.references = references?.rows(plan);
            lock.check()?;
            before.write(out)?;
        }
        forget_lost(plan, out, &mut before);
        Ok(Self {
            place: Place {
                plan,
                out: out.to_path_buf(),
                data,
                lock,
                is_part: share.is_part(),
            },
            taken,
            only: matches!(share, Share::Only(_)),
            preflight,
            before,
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
        plan: &ResolvedPlan,
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
    pub fn status(plan: &ResolvedPlan, out: &Path) -> Result<SweepResult, RunError> {
        let mut table = SweepResult::pending(plan, Vec::new(), Vec::new());
        read_rows(plan, out, &mut table)?;
        Ok(table)
    }

    /// Writes the table and the report of what is finished by now, whoever has executed it.
    ///
    /// # Errors
    ///
    /// A folder that is not there, and what [`Self::status`] refuses.
    pub fn collect(
        plan: &ResolvedPlan,
        out: &Path,
        observer: &dyn SweepObserver,
    ) -> Result<SweepResult, RunError> {
        if !out.is_dir() {
            let missing = "there is no such folder: no run has begun in it";
            let missing = std::io::Error::new(std::io::ErrorKind::NotFound, missing);
            return Err(RunError::io(out)(missing));
        }
        check_place(out)?;
        let data = load_data(plan)?;
        check_results(plan, out, &data)?;
        let lock = share_existing(out)?;
        let references = References::of(plan, &data, (out, &lock), &Device::Cpu, observer)?;
        let mut table = SweepResult::pending(plan, references.rows(plan), data_sets(plan, &data));
        lock.check()?;
        read_rows(plan, out, &mut table)?;
        write_all(plan, out, &table)?;
        Ok(table)
    }

    /// Writes the plan into the folder `out`, for calls that take parts of it.
    ///
    /// # Errors
    ///
    /// What [`Self::check`] refuses, and any failure of the file system.
    pub fn write_plan(plan: &ResolvedPlan, out: &Path, device: &Device) -> Result<(), RunError> {
        let existed = out.is_dir();
        check(plan, out, device)?;
        let _part = take_part(out, existed)?;
        write_plan(plan, out)
    }

    /// Runs that this call takes.
    pub fn num_taken(&self) -> usize {
        self.taken.iter().filter(|taken| **taken).count()
    }

    /// How many runs go on at a time, by what is asked for and by the memory.
    pub fn workers(&self, jobs: Option<Jobs>, device: &Device) -> Workers {
        let rows = self.before.rows.iter().zip(&self.taken);
        let waiting = rows.map(|(row, taken)| *taken && row.status != Status::Finished);
        let memory = waiting.zip(self.preflight.runs.iter().map(|run| &run.memory));
        let memory: Vec<u64> = memory
            .filter_map(|(waiting, memory)| waiting.then_some(*memory))
            .collect();
        let asked = match jobs.unwrap_or(self.place.plan.jobs) {
            Jobs::Auto if device.is_cpu() => rayon::current_num_threads(),
            // A GPU is one for all.
            Jobs::Auto => 1,
            Jobs::Fixed(jobs) => jobs,
        };
        let free = self.preflight.free;
        let free = free.map(|free| free.saturating_sub(self.preflight.kept));
        Workers::that_fit(asked, memory, free)
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
            place: &self.place,
            device,
            queue: Queue::new(self.place.plan, waiting, ended, |run| self.look(run))
                .without_waiting_for_nobody(self.only),
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
        self.place.lock.check()?;
        if self.place.is_part {
            read_rows(self.place.plan, &self.place.out, &mut result)?;
            return Ok(result);
        }
        // Another call that ends just now may have written a table without the last runs of this one.
        for _ in 0..ATTEMPTS {
            read_rows(self.place.plan, &self.place.out, &mut result)?;
            let written = write_all(self.place.plan, &self.place.out, &result);
            written.map_err(|error| self.place.blame(error))?;
            let mut again = result.clone();
            read_rows(self.place.plan, &self.place.out, &mut again)?;
            if again == result {
                break;
            }
        }
        Ok(result)
    }

    /// How far a run is that is not executed here.
    fn look(&self, run: usize) -> Elsewhere {
        let point = &self.place.plan.points[run];
        let path = self.place.out.join(&point.name);
        match read_result(&point.config, &path) {
            Ok(Some(_)) => Elsewhere::Finished,
            // What cannot be read is as good as not there: whoever takes it up says why.
            _ if is_held(&path) => Elsewhere::Held,
            _ => Elsewhere::Free,
        }
    }
}

fn found(data: &[Loaded]) -> Vec<Found> {
    data.iter()
        .map(|(_, splits)| splits.found.clone())
        .collect()
}

/// What [`Sweep::check`] checks; gives the data and what there is to say of the models.
fn check(
    plan: &ResolvedPlan,
    out: &Path,
    device: &Device,
) -> Result<(Vec<Loaded>, Preflight), RunError> {
    refuse_run(out)?;
    if !is_copied(plan, out) {
        check_lockable(out)?;
    }
    check_place(out)?;
    let data = load_data(plan)?;
    let runs = plan.points.iter().zip(plan.runs()).map(|(point, run)| {
        let splits = splits_of(&data, run.config());
        (out.join(&point.name), run, splits)
    });
    let preflight = preflight(runs, out, (device, Ranks::ONE))?;
    check_results(plan, out, &data)?;
    Ok((data, preflight))
}

/// Refuses runs of other configurations, and finished ones of other data or other weights of a network that scores look through:
/// their scores would be compared with those of the runs to come.
fn check_results(plan: &ResolvedPlan, out: &Path, data: &[Loaded]) -> Result<(), RunError> {
    for (point, run) in plan.points.iter().zip(plan.runs()) {
        let folder = out.join(&point.name);
        check_config(&point.config, &folder)?;
        if let Some(result) = read_result(&point.config, &folder)? {
            check_sources(&result, run, splits_of(data, &point.config), &folder)?;
        }
    }
    Ok(())
}

/// Refuses the folder of a single run.
fn refuse_run(out: &Path) -> Result<(), RunError> {
    match RunFolder::is_run(out) {
        true => {
            let message = "holds a run, a sweep has a folder of its own: choose another folder";
            Err(ConfigError::new(out.display().to_string(), message).into())
        }
        false => Ok(()),
    }
}

/// Whether `out` holds runs of `plan` that were copied there without its hidden files.
fn is_copied(plan: &Plan, out: &Path) -> bool {
    let holds_a_run = |point: &Point| RunFolder::is_run(&out.join(&point.name));
    !out.join(".lock").exists() && plan.points.iter().any(holds_a_run)
}

/// Takes part in `out`, making it unless it `existed`: one that has gone meanwhile does not come back.
fn take_part(out: &Path, existed: bool) -> Result<Lock, StoreError> {
    match existed {
        true => share_existing(out),
        false => share(out),
    }
}

/// Makes `out` or takes part in it, and reads what is finished in it.
fn open_folder(
    plan: &Plan,
    part: &Share,
    (out, existed): (&Path, bool),
    pending: SweepResult,
) -> Result<(Lock, SweepResult), RunError> {
    if existed && is_copied(plan, out) {
        adopt(out)?;
    }
    let lock = take_part(out, existed)?;
    let before = read_folder(plan, part, out, pending).inspect_err(|_| {
        if !existed {
            leave(out);
        }
    })?;
    Ok((lock, before))
}

/// Removes the folder `out` if nothing has come of it: another call may have begun in it meanwhile.
fn leave(out: &Path) {
    let names = std::fs::read_dir(out).map(|entries| {
        let names = entries.flatten().map(|entry| entry.file_name());
        names.collect::<Vec<_>>()
    });
    // A failure here adds nothing to the error that is told.
    if let Ok([lock]) = names.as_deref()
        && lock == ".lock"
    {
        let _ = std::fs::remove_file(out.join(lock)).and_then(|()| std::fs::remove_dir(out));
    }
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
    Ok(before)
}

/// A table is made of the results alone, but a run is finished only with the weights that it was scored by.
fn forget_lost(plan: &Plan, out: &Path, before: &mut SweepResult) {
    for (point, row) in plan.points.iter().zip(&mut before.rows) {
        let lost = || missing_weights(&point.config, &out.join(&point.name)).is_some();
        if row.status == Status::Finished && lost() {
            *row = Row::pending(point);
        }
    }
}
