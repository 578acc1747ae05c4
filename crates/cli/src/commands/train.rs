//! `pfgmpp train`: one configuration, trained, sampled and scored.

mod expected;
mod together;

use std::path::{Path, PathBuf};

use pfgmpp_config::{ConfigError, Document, Override, RunConfig};
use pfgmpp_metrics::Estimate;
use pfgmpp_run::{
    ClassScores, Evaluated, Lookup, Outcome, Ranks, ResolvedRun, RunError, RunFolder, RunResult,
    check_config, lead, load, preflight, read_evaluations, read_result, refuse_lost, run,
};
use pfgmpp_store::check_lockable;
use pfgmpp_train::TrainerConfig;
use serde::Serialize;

use self::expected::Expectation;
use self::together::FirstRank;
use crate::device::DeviceArgs;
use crate::download::hub;
use crate::failure::Failure;
use crate::interrupt::stop_on_signal;
use crate::opening;
use crate::ranks;
use crate::table::{align_right, new_table};
use crate::terminal::{RunTerminal, note, print, print_json, shell_word};

#[derive(clap::Args)]
pub struct Args {
    /// Configuration, such as configs/digits.yaml
    config: PathBuf,
    /// Folder for the run [default: runs/<name of the configuration>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Change a value of the configuration, such as d=128 or training.nimg=10000
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Check all but the folder, time a few steps, print what the run will take and stop; nothing is written
    #[arg(long)]
    dry_run: bool,
    /// Write what was found as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

/// A finished run, as JSON.
#[derive(Serialize)]
struct Finished<'a> {
    /// The run's folder.
    out: &'a Path,
    /// The folder of its weights, if it has trained any.
    checkpoint: Option<PathBuf>,
    /// What it found.
    result: &'a RunResult,
    /// What its model gave when it was sampled otherwise, as `evaluations` of the configuration says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    evaluations: Vec<Evaluated>,
}

pub fn train(args: &Args) -> Result<(), Failure> {
    match ranks::join(&args.device, &args.folder())? {
        None => run_here(args, None),
        Some(group) if group.rank() == 0 => together::lead(args, &group),
        Some(group) => together::follow(args, &group),
    }
}

impl Args {
    /// The folder of the run.
    fn folder(&self) -> PathBuf {
        self.out.clone().unwrap_or_else(|| {
            let name = self.config.file_stem().unwrap_or_default();
            PathBuf::from("runs").join(name)
        })
    }
}

/// The run in this process, with other ranks to train if there are any.
fn run_here(args: &Args, together: Option<&FirstRank>) -> Result<(), Failure> {
    let config = read(&args.config, &args.set)?;
    let out = args.folder();
    let device = args.device.open_as_rank()?;
    let measures = config
        .trained()
        .is_some_and(TrainerConfig::measures_sigma_data);
    let begun = std::slice::from_ref(&out);
    let resolved = ResolvedRun::resolve(config, Some(&out), &Lookup::new(&hub(), begun))?;
    let config = resolved.config();
    if let (true, Some(model)) = (measures, config.trained()) {
        note(opening::measured(model));
    }
    let signals = stop_on_signal()?;
    let splits = load(&config.data)?;
    note(format_args!("data: {}", splits.found));
    if let Some(together) = together {
        together.check(config, &args.device)?;
    }
    let ranks = together.map_or(Ranks::ONE, FirstRank::ranks);
    let found = preflight(
        [(out.clone(), &resolved, &splits)].into_iter(),
        &out,
        (&device, ranks),
    )?;
    found.notes.iter().for_each(note);
    note(opening::run(config, splits.found.classes));
    note(opening::place(&args.device, &out));
    if RunFolder::is_sweep(&out) {
        let message = format!(
            "{}: holds a sweep: give the run another folder with --out",
            out.display()
        );
        return Err(Failure::bad_input(message));
    }
    if !RunFolder::is_run(&out) {
        check_lockable(&out).map_err(RunError::from)?;
    }
    check_config(config, &out)?;
    refuse_lost(config, &out)?;
    if !args.dry_run && read_result(config, &out)?.is_some() {
        note(match config.trained() {
            None => "finished before: its result is shown again",
            Some(_) => {
                "finished before: its result is shown again; a larger training.nimg goes on from here"
            }
        });
    }
    if args.dry_run {
        let expected = Expectation::of(config, &splits, &out, (&found, ranks), &device)?;
        return match args.json {
            true => print_json(&expected),
            false => {
                expected.print();
                Ok(())
            }
        };
    }
    let folder = RunFolder::open(&out).map_err(RunError::from)?;
    let stop = signals.begin();
    let mut terminal = RunTerminal::new(&format!("d={}", config.d()));
    let outcome = match together {
        None => run(&resolved, &splits, &folder, &device, &mut terminal, stop)?,
        Some(together) => {
            let place = (&device, together.begin()?);
            lead(&resolved, &splits, &folder, place, &mut terminal, stop)?
        }
    };
    terminal.close();
    conclude(args, config, &folder, outcome)
}

/// Says how a run has ended.
fn conclude(
    args: &Args,
    config: &RunConfig,
    folder: &RunFolder,
    outcome: Outcome,
) -> Result<(), Failure> {
    let out = folder.path();
    match outcome {
        Outcome::Finished(result) if args.json => print_json(&Finished {
            out,
            checkpoint: config.trained().map(|_| folder.checkpoint()),
            result: &result,
            evaluations: read_evaluations(config, out, result.nimg)?,
        }),
        Outcome::Finished(result) => {
            print(figures(&result));
            print_class_agreement(&folder.class_scores());
            let evaluations = read_evaluations(config, out, result.nimg)?;
            if !evaluations.is_empty() {
                print(format_args!("\n{}", by_evaluation(&evaluations)));
            }
            print("");
            let grid = folder.grid();
            if grid.is_file() {
                print(format_args!("Samples:    {}", grid.display()));
            }
            if config.trained().is_some() {
                let checkpoint = folder.checkpoint();
                print(format_args!("Checkpoint: {}", checkpoint.display()));
            }
            print(format_args!(
                "Curves:     tensorboard --logdir {}",
                shell_word(out)
            ));
            Ok(())
        }
        Outcome::Interrupted { nimg } => Err(Failure::Interrupted(format!(
            "stopped after {nimg} images: the same command goes on from there"
        ))),
    }
}

/// What a run found, a line each.
fn figures(result: &RunResult) -> String {
    let mut lines: Vec<(&str, String)> = Vec::new();
    lines.extend(
        result
            .train_loss
            .map(|loss| ("train_loss", format!("{loss:.4}"))),
    );
    for score in result.scores.iter() {
        let Estimate {
            value,
            standard_error,
        } = score.estimate;
        let error = standard_error.map_or(String::new(), |error| format!(" ± {error:.5}"));
        lines.push((&score.name, format!("{value:.5}{error}")));
    }
    lines.push(("seconds", format!("{:.1}", result.seconds)));
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines: Vec<String> = lines
        .iter()
        .map(|(name, value)| format!("{name:width$}  {value}"))
        .collect();
    lines.join("\n")
}

/// What the model gave when it was sampled otherwise: a row for each combination of settings.
fn by_evaluation(evaluations: &[Evaluated]) -> String {
    let mut table = new_table();
    let first = &evaluations[0];
    let mut keys: Vec<&String> = Vec::new();
    for (key, _) in evaluations.iter().flat_map(|evaluated| &evaluated.values) {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let settings = keys.iter().map(|key| key.rsplit('.').next().unwrap_or(key));
    let settings: Vec<&str> = settings.collect();
    let scores = first.scores.iter().map(|score| score.name.as_str());
    table.set_header(settings.iter().copied().chain(scores));
    for evaluated in evaluations {
        let values = keys.iter().map(|key| {
            let found = evaluated.values.iter().find(|(own, _)| own == *key);
            found.map_or(String::new(), |(_, value)| value.clone())
        });
        let scores = evaluated.scores.iter();
        let scores = scores.map(|score| format!("{:.4}", score.estimate.value));
        table.add_row(values.chain(scores));
    }
    align_right(
        &mut table,
        settings.len()..settings.len() + first.scores.iter().count(),
    );
    table.to_string()
}

/// How far samples are of the class that was asked for, where a run has scores by class.
fn print_class_agreement(path: &Path) {
    let read = std::fs::read(path).ok();
    let scores = read.and_then(|bytes| serde_json::from_slice::<ClassScores>(&bytes).ok());
    if let Some(scores) = scores {
        print(format_args!(
            "class_agreement     {:.4} (held-out images {:.4})",
            scores.agreement, scores.held_out_agreement
        ));
        if let Some(diversity) = scores.diversity {
            print(format_args!(
                "class_diversity     {diversity:.4} (as varied as held-out images of a class: 1)"
            ));
        }
    }
}

/// What the flags `--set` say.
pub fn overrides(set: &[String]) -> Result<Vec<Override>, ConfigError> {
    let parse = |text: &String| Override::parse(text, format!("--set {text}"));
    set.iter().map(parse).collect()
}

/// Reads a configuration with the overrides of `--set`.
pub fn read(path: &Path, set: &[String]) -> Result<RunConfig, Failure> {
    let mut document = Document::open::<RunConfig>(path)?;
    let mut places = Vec::new();
    for Override { origin, key, value } in overrides(set)? {
        document.set::<RunConfig>(&key, value, &origin)?;
        places.push((key, origin));
    }
    Ok(RunConfig::read(&document, &places)?)
}
