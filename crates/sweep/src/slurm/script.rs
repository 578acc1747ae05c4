//! The scripts of jobs.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::SlurmConfig;
use crate::Plan;

/// Seconds before the end of its time at which a run saves and is queued again.
const NOTICE: u32 = 60;

/// How this program is started on a node.
pub(super) struct Program<'a> {
    /// Its path, a word of a shell.
    pub program: &'a str,
    /// What says which sweep it is.
    pub flags: &'a str,
    /// Where runs compute.
    pub device: &'a str,
}

/// A job array: a task a run.
#[derive(Clone, Debug)]
pub(super) struct Array {
    number: usize,
    /// The runs, by their places in the plan.
    pub runs: Vec<usize>,
    /// The run whose model they sample.
    pub after: Option<usize>,
    /// The names of the runs, a line each.
    pub list: String,
    /// The script.
    pub script: String,
}

impl Array {
    /// Array `number` of the sweep: `runs` of `plan`, after the run that trains their model.
    pub fn new(
        plan: &Plan,
        slurm: &SlurmConfig,
        folder: &Path,
        number: usize,
        runs: Vec<usize>,
        after: Option<usize>,
        program: &Program,
    ) -> Self {
        let names = runs.iter().map(|&run| plan.points[run].name.as_str());
        let list = names.map(|name| format!("{name}\n")).collect();
        let mut array = Self {
            number,
            runs,
            after,
            list,
            script: String::new(),
        };
        array.script = array.write(&plan.name, slurm, folder, program);
        array
    }

    /// The path of its script.
    pub fn path(&self, folder: &Path) -> PathBuf {
        folder.join(format!("runs-{}.sh", self.number))
    }

    /// The path of the names of its runs.
    pub fn list_path(&self, folder: &Path) -> PathBuf {
        folder.join(format!("runs-{}.txt", self.number))
    }

    /// The task that executes `run`, from 1.
    pub fn task_of(&self, run: usize) -> Option<usize> {
        Some(1 + self.runs.iter().position(|own| *own == run)?)
    }

    fn write(&self, name: &str, slurm: &SlurmConfig, folder: &Path, program: &Program) -> String {
        let at_a_time = slurm
            .at_a_time
            .map_or(String::new(), |number| format!("%{number}"));
        let tasks = format!("--array=1-{}{at_a_time}", self.runs.len());
        let log = folder.join("%A_%a.log");
        let mut text = head(name, slurm, &log, &[tasks, "--requeue".to_string()]);
        if slurm.time.is_some() {
            let _ = writeln!(text, "#SBATCH --signal=B:USR1@{NOTICE}");
        }
        let list = quoted(&self.list_path(folder));
        let Program {
            program,
            flags,
            device,
        } = program;
        let threads = slurm.cpus.unwrap_or(1);
        let _ = write!(
            text,
            r#"
run=$(sed -n "${{SLURM_ARRAY_TASK_ID}}p" {list})
again=
# The program saves its state and stops; only the end of its time queues a run again, which goes on from there.
trap 'again=yes; kill -USR1 "$child"' USR1
trap 'kill -TERM "$child"' TERM
{program} sweep {flags} --device {device} --threads {threads} --only "$run" &
child=$!
wait "$child"
code=$?
# A signal ends the wait before the program has ended.
while kill -0 "$child" 2>/dev/null; do
  wait "$child"
  code=$?
done
if [ "$again" ] && [ "$code" -eq 130 ]; then
  scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
fi
exit "$code"
"#
        );
        text
    }
}

/// The script of the last job, which writes table and report.
pub(super) fn collect(name: &str, slurm: &SlurmConfig, folder: &Path, program: &Program) -> String {
    let light = SlurmConfig {
        gpus: None,
        cpus: None,
        ..slurm.clone()
    };
    let log = folder.join("collect.log");
    let Program { program, flags, .. } = program;
    let head = head(&format!("{name}-collect"), &light, &log, &[]);
    format!("{head}\nexec {program} sweep {flags} --collect\n")
}

/// What a script asks Slurm for.
fn head(name: &str, slurm: &SlurmConfig, log: &Path, more: &[String]) -> String {
    let mut options = vec![
        format!("--job-name={name}"),
        format!("--output={}", quoted(log)),
        "--open-mode=append".to_string(),
    ];
    let mut option = |name: &str, value: Option<String>| {
        options.extend(value.map(|value| format!("--{name}={value}")));
    };
    option("partition", slurm.partition.clone());
    option("time", slurm.time.clone());
    option("mem", slurm.mem.clone());
    option("cpus-per-task", slurm.cpus.map(|cpus| cpus.to_string()));
    option("gpus", slurm.gpus.map(|gpus| gpus.to_string()));
    options.extend(slurm.extra.iter().cloned());
    options.extend(more.iter().cloned());
    let lines = options.iter().map(|option| format!("#SBATCH {option}\n"));
    format!("#!/bin/bash\n{}", lines.collect::<String>())
}

/// A path as a word of a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=,:@%".contains(c);
    match text.chars().all(plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}
