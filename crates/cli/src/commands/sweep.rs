//! `pfgmpp sweep`: every run of a sweep file, compared.

use std::path::PathBuf;

use pfgmpp_data::Found;
use pfgmpp_sweep::{Jobs, Plan, Status, Sweep, SweepResult};

use crate::commands::train::overrides;
use crate::device::DeviceArgs;
use crate::download::hub;
use crate::failure::Failure;
use crate::interrupt::stop_on_signal;
use crate::opening;
use crate::table;
use crate::terminal::{Terminal, note, print, print_json, shell_word};

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
    /// Runs at a time, or auto for one on each core, one on a GPU [default: as the file says]
    #[arg(long, value_name = "N")]
    jobs: Option<Jobs>,
    /// Check everything, print the runs and stop
    #[arg(long)]
    dry_run: bool,
    /// Write the table as JSON, that of results.json
    #[arg(long, conflicts_with = "dry_run")]
    json: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

pub fn sweep(args: &Args) -> Result<(), Failure> {
    let mut plan = Plan::read(&args.file, &overrides(&args.set)?)?;
    let device = args.device.open()?;
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| PathBuf::from("runs").join(&plan.name));
    plan.fetch(&out, &hub())?;
    let jobs = args.jobs.unwrap_or(plan.jobs);
    if args.dry_run {
        let (found, notes) = Sweep::check(&plan, &out, &device)?;
        say(&found, &notes);
        print(table::plan(&plan, &out, jobs));
        return Ok(());
    }
    let signals = stop_on_signal()?;
    let sweep = Sweep::open(&plan, &out, &device)?;
    say(&sweep.found(), sweep.notes());
    note(format_args!(
        "{} runs, jobs: {jobs}, {}",
        plan.points.len(),
        opening::place(&args.device, &out)
    ));
    let workers = sweep.workers(args.jobs, &device);
    if workers.are_fewer() {
        note(workers);
    }
    let stop = signals.begin();
    let terminal = Terminal::new(&plan);
    let result = sweep.execute(args.jobs, &device, &terminal, stop)?;
    terminal.close();
    if args.json {
        print_json(&result)?;
        return judge(&result, stop.is_raised(), &args.file);
    }
    print(table::results(&result));
    let verdicts = table::verdicts(&result);
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
    print("        beside it summary.csv, results.md, results.tex; figures/ as SVG");
    print(format_args!(
        "Curves: tensorboard --logdir {}",
        shell_word(&out)
    ));
    judge(&result, stop.is_raised(), &args.file)
}

fn say(data: &[Found], notes: &[String]) {
    for found in data {
        note(format_args!("data: {found}"));
    }
    for text in notes {
        note(text);
    }
}

/// Success only if every run finished.
fn judge(result: &SweepResult, stopped: bool, file: &std::path::Path) -> Result<(), Failure> {
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
