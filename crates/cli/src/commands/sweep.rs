//! `pfgmpp sweep`: every run of a sweep file, compared.

use std::path::{Path, PathBuf};

use candle_core::Device;
use pfgmpp_run::RunError;
use pfgmpp_sweep::slurm::{SlurmError, SlurmJobs};
use pfgmpp_sweep::{Jobs, Plan, ResolvedPlan, Shard, Share, Status, Sweep, SweepResult};

use crate::commands::train::overrides;
use crate::device::DeviceArgs;
use crate::download::hub;
use crate::failure::Failure;
use crate::interrupt::stop_on_signal;
use crate::opening;
use crate::ranks;
use crate::table;
use crate::terminal::{Terminal, note, print, print_json, say_checked, shell_word};

#[derive(clap::Args)]
pub struct Args {
    /// Sweep file, such as experiments/d_sweep.yaml
    file: PathBuf,
    /// Folder for the results [default: runs/<name of the sweep>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Change a value of the configuration, or an axis: training.nimg=10000, axes.d=[1,inf]; that of one
    /// setup: base.SETUP.axes.d=[1,inf]
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Runs at a time, or auto for one per core, one on a GPU [default: as in the sweep file]
    #[arg(long, value_name = "N")]
    jobs: Option<Jobs>,
    /// Check everything, print the runs and stop
    #[arg(long, group = "mode")]
    dry_run: bool,
    /// Write plan.json, for calls of --shard on other machines, and stop
    #[arg(long, group = "mode", conflicts_with = "json")]
    plan: bool,
    /// Execute every N-th run, from run I on (1 to N): other calls, on any machine that sees the folder, take the
    /// others. Writes no table: --collect does
    #[arg(long, value_name = "I/N", group = "mode")]
    shard: Option<Shard>,
    /// Execute the run of this name only; may be given several times. Writes no table: --collect does
    #[arg(long, value_name = "RUN", conflicts_with_all = ["mode", "dry_run"])]
    only: Vec<String>,
    /// Submit the runs as jobs of Slurm, with what the sweep file says under `slurm`, and stop; with --dry-run show the
    /// scripts
    #[arg(long, value_enum, value_name = "LAUNCHER", conflicts_with_all = ["plan", "shard", "only", "status", "collect", "json"])]
    launcher: Option<Launcher>,
    /// Show how far the runs have come, whoever executes them, and stop
    #[arg(long, group = "mode")]
    status: bool,
    /// Write table and report of what is finished, whoever has executed it, and stop
    #[arg(long, group = "mode")]
    collect: bool,
    /// Write the table as JSON, that of results.json
    #[arg(long, conflicts_with = "dry_run")]
    json: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

/// What executes runs in place of this process.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Launcher {
    /// Jobs of Slurm, by sbatch
    Slurm,
}

pub fn sweep(args: &Args) -> Result<(), Failure> {
    let plan = Plan::read(&args.file, &overrides(&args.set)?)?;
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| PathBuf::from("runs").join(&plan.name));
    let plan = plan.resolve(&out, &hub())?;
    let jobs = args.jobs.unwrap_or(plan.jobs);
    if args.status {
        let result = Sweep::status(&plan, &out)?;
        if args.json {
            return print_json(&result);
        }
        print(table::status(&result));
        return Ok(());
    }
    if args.collect {
        let _signals = stop_on_signal()?;
        let terminal = Terminal::new(&plan);
        let result = Sweep::collect(&plan, &out, &terminal)?;
        terminal.close();
        return conclude(args, &result, &out, false);
    }
    if let Some(Launcher::Slurm) = args.launcher {
        return launch(args, &plan, &out);
    }
    let device = args.device.open()?;
    if args.plan {
        Sweep::write_plan(&plan, &out, &device)?;
        print(format_args!(
            "{} runs: {}",
            plan.points.len(),
            out.join("plan.json").display()
        ));
        return Ok(());
    }
    if args.dry_run {
        let (found, notes) = Sweep::check(&plan, &out, &device)?;
        say_checked(&found, &notes);
        print(table::plan(&plan, &out, jobs));
        return Ok(());
    }
    let share = args.share();
    if !share.is_part() {
        ranks::refuse_sweep()?;
    }
    let signals = stop_on_signal()?;
    let terminal = Terminal::new(&plan);
    let sweep = Sweep::open(&plan, &share, &out, &device, &terminal)?;
    terminal.close();
    let taken = match share.is_part() {
        true => format!("{} of {}", sweep.num_taken(), plan.points.len()),
        false => plan.points.len().to_string(),
    };
    note(format_args!(
        "{taken} runs, jobs: {jobs}, {}",
        opening::place(&args.device, &out)
    ));
    let workers = sweep.workers(args.jobs, &device);
    if workers.are_fewer() {
        note(workers);
    }
    let stop = signals.begin();
    let result = sweep.execute(args.jobs, &device, &terminal, stop)?;
    terminal.close();
    if share.is_part() {
        match args.json {
            true => print_json(&result)?,
            false => print(table::status(&result)),
        }
        note("table and report: the same command with --collect");
        return judge(&result, stop.is_raised(), &args.file);
    }
    conclude(args, &result, &out, stop.is_raised())
}

/// Submits the runs to Slurm, or shows how it would.
fn launch(args: &Args, plan: &ResolvedPlan, out: &Path) -> Result<(), Failure> {
    // The machine that submits may have no GPU; a node that has one checks there.
    match args.device.is_cpu() {
        true => {
            let (found, notes) = Sweep::check(plan, out, &Device::Cpu)?;
            say_checked(&found, &notes);
        }
        false => note("the runs are checked where they are executed, with that device"),
    }
    let at = |path: &Path| std::path::absolute(path).map_err(RunError::io(path));
    let program = std::env::current_exe().map_err(RunError::io(Path::new("this program")))?;
    let (file, folder) = (at(&args.file)?, at(out)?);
    let mut flags = format!("{} --out {}", shell_word(&file), shell_word(&folder));
    for set in &args.set {
        flags += &format!(" --set {}", shell_word(Path::new(set)));
    }
    let device = args.device.to_string();
    let jobs = SlurmJobs::of(
        plan,
        &plan.slurm,
        &folder,
        (&shell_word(&program), &flags, &device),
    )?;
    if jobs.num_runs() == 0 {
        print("every run is finished, or another process is running it: nothing to submit");
        return Ok(());
    }
    if args.dry_run {
        for (path, script) in jobs.scripts() {
            print(format_args!("# {}\n{script}", path.display()));
        }
        return Ok(());
    }
    let numbers = jobs.submit().map_err(|error| match error {
        SlurmError::Run(error) => error.into(),
        SlurmError::NoSlurm(_) => Failure::bad_input(error),
        SlurmError::Refused { .. } => Failure::Failed(error.into()),
    })?;
    print(format_args!(
        "{} runs submitted as jobs {}, the last of which collects",
        jobs.num_runs(),
        numbers.join(", ")
    ));
    print("--status shows how far they are; logs lie in the folder slurm");
    Ok(())
}

impl Args {
    /// The runs that the flags ask for.
    fn share(&self) -> Share {
        match (self.shard, self.only.is_empty()) {
            (Some(shard), _) => Share::Shard(shard),
            (None, false) => Share::Only(self.only.clone()),
            (None, true) => Share::All,
        }
    }
}

/// Shows the table that was written, and says whether all is done.
fn conclude(args: &Args, result: &SweepResult, out: &Path, stopped: bool) -> Result<(), Failure> {
    if args.json {
        print_json(result)?;
        return judge(result, stopped, &args.file);
    }
    print(table::results(result));
    let verdicts = table::verdicts(result);
    if !verdicts.is_empty() {
        print(verdicts);
    }
    print(format_args!(
        "\nReport: {}",
        out.join("report.html").display()
    ));
    print(format_args!(
        "Tables: {}",
        out.join("results.csv").display()
    ));
    print("        beside it summary.csv, results.md, results.tex; figures/ as SVG and PNG");
    print(format_args!(
        "Curves: tensorboard --logdir {}",
        shell_word(out)
    ));
    let others = result.rows.iter();
    let others = others.filter(|row| row.status == Status::Running).count();
    if others > 0 {
        note(format_args!(
            "runs that another process is executing: {others}; --status shows how far they are, --collect writes the table anew"
        ));
    }
    judge(result, stopped, &args.file)
}

/// Success unless a run failed here or a stop was asked for: what other calls have not finished yet is no failure.
fn judge(result: &SweepResult, stopped: bool, file: &Path) -> Result<(), Failure> {
    let failed: Vec<_> = result
        .rows
        .iter()
        .filter(|row| row.status == Status::Failed)
        .collect();
    if let Some(first) = failed.first() {
        let message = format!(
            "{} of {} runs failed, the first {}: {}",
            failed.len(),
            result.rows.len(),
            first.name,
            first.message
        );
        return Err(if first.bad_input {
            Failure::bad_input(message)
        } else {
            Failure::Failed(anyhow::anyhow!(message))
        });
    }
    if stopped && !result.is_finished() {
        let again = format!("stopped: the same command goes on with {}", file.display());
        return Err(Failure::Interrupted(again));
    }
    Ok(())
}
