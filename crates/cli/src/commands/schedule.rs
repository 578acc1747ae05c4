//! `pfgmpp schedule`: the best few noise levels for a model.

use std::path::PathBuf;

use pfgmpp_config::yaml;
use pfgmpp_run::RunError;
use pfgmpp_store::write_file;
use serde::Serialize;

use crate::device::DeviceArgs;
use crate::drawn_args::DrawnArgs;
use crate::failure::Failure;
use crate::interrupt::stop_on_signal;
use crate::model_args::ModelArgs;
use crate::opening;
use crate::out_file;
use crate::terminal::{note, print, print_json};

/// Pairs of trajectories that are followed at most.
const MOST: u64 = 4096;

#[derive(clap::Args)]
#[command(override_usage = "pfgmpp schedule [OPTIONS] --checkpoint <REF>")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    drawn: DrawnArgs,
    /// Trajectories to search with; as many others measure how good the levels are
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=MOST))]
    num: u64,
    /// Seed of the first trajectory
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Levels to choose from
    #[arg(long, value_name = "K", default_value_t = 60, value_parser = clap::value_parser!(u64).range(3..=200))]
    grid: u64,
    /// A YAML file for the levels, which --schedule takes
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace that file if it is there
    #[arg(long, requires = "out")]
    overwrite: bool,
    /// Write what was found as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

/// What was found, as JSON.
#[derive(Serialize)]
struct Found {
    /// The levels, falling to 0.
    levels: Vec<f64>,
    /// Distance from the model's own trajectories at their end, root of the mean square, in units of the data.
    rms_error: f64,
    /// The same over the levels that the model was scored with, or that --schedule gave.
    rms_error_before: f64,
}

pub fn schedule(args: &Args) -> Result<(), Failure> {
    if let Some(out) = &args.out {
        out_file::check(out, &["yaml", "yml"], args.overwrite)?;
    }
    let last = args.seed.checked_add(2 * args.num - 1);
    let last = last.ok_or_else(|| {
        let message = format!(
            "--seed: {} leaves no room for {} seeds",
            args.seed,
            2 * args.num
        );
        Failure::bad_input(message)
    })?;
    let signals = stop_on_signal()?;
    let device = args.device.open()?;
    let model = args.model.load(Some(&args.drawn), args.seed, &device)?;
    let num_steps = model.sampler().levels().num_steps();
    if num_steps as u64 > args.grid {
        return Err(Failure::bad_input(format!(
            "--steps: must be at most the {} levels of --grid, got {num_steps}",
            args.grid
        )));
    }
    if device.is_cpu() {
        model.check_memory("--num", args.num, args.num * 2 * (args.grid + 1))?;
    }
    note(opening::sampler(&model));
    note(format_args!(
        "following {} trajectories over {} levels, then choosing {num_steps}",
        2 * args.num,
        args.grid
    ));
    let seeds: Vec<u64> = (args.seed..=last).collect();
    let stop = signals.begin();
    let found = model.search_levels(num_steps, args.grid as usize, &seeds, &device, stop)?;
    let rounded: Vec<f64> = found.levels.iter().map(|s| rounded(*s)).collect();
    let levels = format!("levels: {}", yaml::to_line(&rounded));
    if let Some(out) = &args.out {
        let solver = yaml::to_line(&model.sampler_config().solver);
        let solver = match solver.contains(": ") {
            true => format!("{{{solver}}}"),
            false => solver,
        };
        let text = format!(
            "# Of `sampler` in a configuration, or for --schedule: levels for this model, D = {}, and this solver.\n\
             solver: {solver}\nschedule:\n  {levels}\n",
            model.d()
        );
        write_file(out, text.as_bytes()).map_err(|e| RunError::io(out)(e))?;
    }
    if args.json {
        return print_json(&Found {
            levels: found.levels,
            rms_error: found.rms_error,
            rms_error_before: found.rms_error_before,
        });
    }
    print(format_args!("{levels}"));
    print(format_args!(
        "distance from where the model's own trajectories end (root of the mean square, in units of the data): {:.4}; \
         over the levels of {}: {:.4}",
        found.rms_error,
        match args.model.sets_schedule() {
            true => "--schedule",
            false => "the schedule that the model was scored with",
        },
        found.rms_error_before
    ));
    Ok(())
}

/// A level with six digits.
fn rounded(level: f64) -> f64 {
    format!("{level:.5e}").parse().unwrap_or(level)
}
