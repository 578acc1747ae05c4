//! A sweep's runs as jobs of Slurm.
//!
//! One job array holds all runs that wait for nothing; each run that trains a model which others sample is followed by an
//! array of those, and a last job collects.

mod config;
mod script;

use std::path::{Path, PathBuf};
use std::process::Command;

use pfgmpp_run::RunError;
use pfgmpp_store::{make_within, share, write_file};

pub use config::SlurmConfig;

use crate::{ResolvedPlan, Status, Sweep};
use script::{Array, Program};

/// Tasks of one array: Slurm's `MaxArraySize` is 1001 where nobody has changed it.
const MOST_TASKS: usize = 1000;
/// The folder of scripts and logs, in that of the sweep.
const FOLDER: &str = "slurm";

/// Jobs of Slurm that execute what is not finished of a plan.
#[derive(Clone, Debug)]
pub struct SlurmJobs {
    folder: PathBuf,
    arrays: Vec<Array>,
    collect: String,
}

/// Why jobs were not submitted.
#[derive(Debug, thiserror::Error)]
pub enum SlurmError {
    /// The program that submits is not there, or does not run.
    #[error("sbatch: {0}: is this a machine with Slurm?")]
    NoSlurm(std::io::Error),
    /// Slurm refuses a job; those that were submitted before are cancelled.
    #[error("sbatch {}: {message}", script.display())]
    Refused {
        /// The script.
        script: PathBuf,
        /// What sbatch says.
        message: String,
    },
    /// Scripts cannot be written.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl SlurmJobs {
    /// The jobs for the runs of `plan` in the folder `out` that nobody has finished or is at.
    ///
    /// - `program`: this program's path.
    /// - `flags`: what says which sweep it is: the sweep file and its `--set` and `--out`, each a word of a shell.
    /// - `device`: where runs compute.
    ///
    /// # Errors
    ///
    /// What [`Sweep::status`] refuses.
    pub fn of(
        plan: &ResolvedPlan,
        slurm: &SlurmConfig,
        out: &Path,
        (program, flags, device): (&str, &str, &str),
    ) -> Result<Self, RunError> {
        let status = Sweep::status(plan, out)?;
        let open = |run: &usize| {
            let status = &status.rows[*run].status;
            !matches!(status, Status::Finished | Status::Running)
        };
        let open: Vec<usize> = (0..plan.points.len()).filter(open).collect();
        let program = Program {
            program,
            flags,
            device,
        };
        let folder = out.join(FOLDER);
        let mut arrays = Vec::new();
        let waits_for = |run: &usize| plan.points[*run].provider.filter(|run| open.contains(run));
        let first: Vec<usize> = open
            .iter()
            .copied()
            .filter(|r| waits_for(r).is_none())
            .collect();
        for runs in first.chunks(MOST_TASKS) {
            let (number, runs) = (arrays.len(), runs.to_vec());
            arrays.push(Array::new(
                plan, slurm, &folder, number, runs, None, &program,
            ));
        }
        for provider in first {
            let own = open.iter().copied();
            let own: Vec<usize> = own.filter(|run| waits_for(run) == Some(provider)).collect();
            for runs in own.chunks(MOST_TASKS) {
                let (number, runs) = (arrays.len(), runs.to_vec());
                let after = Some(provider);
                arrays.push(Array::new(
                    plan, slurm, &folder, number, runs, after, &program,
                ));
            }
        }
        Ok(Self {
            collect: script::collect(&plan.name, slurm, &folder, &program),
            folder,
            arrays,
        })
    }

    /// Runs that are to be executed.
    #[must_use]
    pub fn num_runs(&self) -> usize {
        self.arrays.iter().map(|array| array.runs.len()).sum()
    }

    /// The scripts, each with its path.
    pub fn scripts(&self) -> impl Iterator<Item = (PathBuf, &str)> {
        let arrays = self.arrays.iter();
        let arrays = arrays.map(|array| (array.path(&self.folder), array.script.as_str()));
        arrays.chain([(self.collect_path(), self.collect.as_str())])
    }

    fn collect_path(&self) -> PathBuf {
        self.folder.join("collect.sh")
    }

    /// Writes the scripts and submits them; gives the numbers of the jobs.
    ///
    /// # Errors
    ///
    /// Scripts that cannot be written, a machine without Slurm, and what Slurm refuses: then nothing is left submitted.
    pub fn submit(&self) -> Result<Vec<String>, SlurmError> {
        let out = self.folder.parent().unwrap_or(&self.folder);
        let _part = share(out).map_err(RunError::from)?;
        make_within(out, &self.folder).map_err(RunError::from)?;
        let lists = self.arrays.iter();
        let lists = lists.map(|array| (array.list_path(&self.folder), array.list.as_str()));
        for (path, text) in lists.chain(self.scripts()) {
            write_file(&path, text.as_bytes()).map_err(RunError::io(&path))?;
        }
        let mut jobs: Vec<String> = Vec::new();
        let submitted = self.submit_all(&mut jobs);
        if submitted.is_err() && !jobs.is_empty() {
            // What is left of a sweep whose other half never comes only takes up the queue.
            let _ = Command::new("scancel").args(&jobs).output();
        }
        submitted.map(|()| jobs)
    }

    fn submit_all(&self, jobs: &mut Vec<String>) -> Result<(), SlurmError> {
        for array in &self.arrays {
            let after = array.after.and_then(|provider| {
                let own = self.arrays.iter().zip(&*jobs);
                let mut own = own.filter_map(|(array, job)| Some((job, array.task_of(provider)?)));
                own.next()
                    .map(|(job, task)| format!("afterok:{job}_{task}"))
            });
            jobs.push(submit(&array.path(&self.folder), after)?);
        }
        let all = format!("afterany:{}", jobs.join(":"));
        jobs.push(submit(&self.collect_path(), Some(all))?);
        Ok(())
    }
}

/// Submits one script; gives the job's number.
fn submit(script: &Path, after: Option<String>) -> Result<String, SlurmError> {
    let mut sbatch = Command::new("sbatch");
    sbatch.arg("--parsable");
    if let Some(after) = after {
        sbatch.arg(format!("--dependency={after}"));
        // A run whose model never comes must not wait for ever.
        sbatch.arg("--kill-on-invalid-dep=yes");
    }
    let done = sbatch.arg(script).output().map_err(SlurmError::NoSlurm)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_string();
    if !done.status.success() {
        return Err(SlurmError::Refused {
            script: script.to_path_buf(),
            message: text(&done.stderr).replace('\n', " "),
        });
    }
    // With several clusters the number is followed by one's name.
    let job = text(&done.stdout);
    Ok(job.split(';').next().unwrap_or_default().to_string())
}
