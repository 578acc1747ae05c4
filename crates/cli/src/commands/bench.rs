//! `pfgmpp bench`: how fast a configuration trains and samples on this machine.

use std::path::PathBuf;

use pfgmpp_config::{ModelConfig, RunConfig};
use pfgmpp_run::{Lookup, ResolvedRun, RunError, RunMemory, load};
use pfgmpp_train::{TrainError, Trainer};
use serde::Serialize;

use crate::commands::train::read;
use crate::device::DeviceArgs;
use crate::download::hub;
use crate::failure::Failure;
use crate::terminal::{Counter, print};
use crate::timing::{Timing, WARM_UPS};

/// Images in the largest batch that is timed.
const MAX_BATCH: u64 = 65_536;

#[derive(clap::Args)]
pub struct Args {
    /// Configuration, such as configs/bench_a.yaml
    config: PathBuf,
    /// Images in a batch [default: the configuration's training.batch_size]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MAX_BATCH))]
    batch: Option<u64>,
    /// Timed runs of each, after two that are not; the median is reported
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    runs: u32,
    /// Change a value of the configuration, such as network.ddpmpp.model_channels=64
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    device: DeviceArgs,
}

/// What one configuration takes: the line that is printed.
#[derive(Serialize)]
struct Figures {
    /// Trained values.
    params: usize,
    /// Images in a batch.
    batch: u64,
    /// Forward, backward, Adam and average of one batch, in milliseconds.
    train_ms: f64,
    /// One evaluation of the denoiser on one batch, in milliseconds.
    eval_ms: f64,
    /// Images trained on in a second.
    images_per_second: f64,
    /// The most memory that the process held, in MiB.
    peak_rss_mib: Option<f64>,
    /// The same; training comes second and needs more.
    train_peak_rss_mib: Option<f64>,
    /// The most that it held before training was set up.
    eval_peak_rss_mib: Option<f64>,
    /// What training was expected to hold at most.
    train_estimate_mib: f64,
    /// What evaluation was expected to.
    eval_estimate_mib: f64,
    /// Threads that work on a batch.
    threads: usize,
    /// What it ran on.
    device: String,
}

pub fn bench(args: &Args) -> Result<(), Failure> {
    let mut config = read(&args.config, &args.set)?;
    set_length(&mut config, args);
    check_batch(&config)?;
    let file = args.config.display();
    config.check(&file.to_string())?;
    let resolved = ResolvedRun::resolve(config, None, &Lookup::new(&hub(), &[]))?;
    let config = resolved.config();
    let Some(model) = config.trained() else {
        let message = format!("{file}: model: must be network, got one that trains nothing");
        return Err(Failure::bad_input(message));
    };
    let data = load(&config.data)?.train;
    let device = args.device.open()?;
    let unfit = |e: &TrainError| Failure::bad_input(format!("{file}: network: {e}"));
    let memory = RunMemory::of(model, &data).map_err(|e| match e {
        RunError::Train(e) => unfit(&e),
        other => other.into(),
    })?;
    if device.is_cpu() {
        let key = args.batch.map_or("training.batch_size", |_| "--batch");
        memory.check_training(key)?;
    }
    let timing = Timing {
        model,
        seed: config.seed,
        data: &data,
        device,
        runs: args.runs,
        counter: Counter::new(2 * u64::from(args.runs + WARM_UPS), "runs"),
    };
    // Evaluation first: the memory that training holds would hide its own.
    let initial =
        Trainer::initial_model(model, config.seed, &data, &timing.device).map_err(|e| unfit(&e))?;
    let eval_ms = timing.evaluate(&*initial)?;
    drop(initial);
    let eval_peak_rss_mib = peak_rss_mib();
    let (params, train_ms) = timing.train()?;
    timing.counter.close();
    let (batch, peak) = (model.training.batch_size, peak_rss_mib());
    let figures = Figures {
        params,
        batch,
        train_ms: thousandths(train_ms),
        eval_ms: thousandths(eval_ms),
        images_per_second: thousandths(batch as f64 / train_ms * 1e3),
        peak_rss_mib: peak,
        train_peak_rss_mib: peak,
        eval_peak_rss_mib,
        train_estimate_mib: mib(memory.training(batch.min(model.training.at_a_time()))),
        eval_estimate_mib: mib(memory.sampling(batch, batch)),
        threads: rayon::current_num_threads(),
        device: args.device.to_string(),
    };
    print(serde_json::to_string(&figures).map_err(|e| Failure::Failed(e.into()))?);
    Ok(())
}

/// Refuses a batch of the configuration that the flag would not take either.
fn check_batch(config: &RunConfig) -> Result<(), Failure> {
    match config.trained().map(|model| model.training.batch_size) {
        Some(batch) if batch > MAX_BATCH => Err(Failure::bad_input(format!(
            "training.batch_size: must be up to {MAX_BATCH} to be timed, got {batch}: give another with --batch"
        ))),
        _ => Ok(()),
    }
}

/// Gives training the batch that is asked for, and images for just as many steps as are run.
fn set_length(config: &mut RunConfig, args: &Args) {
    if let ModelConfig::Network(model) = &mut config.model {
        let training = &mut model.training;
        training.batch_size = args.batch.unwrap_or(training.batch_size);
        let steps = u64::from(args.runs + WARM_UPS);
        training.nimg = training.batch_size.saturating_mul(steps);
    }
}

fn mib(bytes: u64) -> f64 {
    (bytes as f64 / f64::from(1 << 20)).round()
}

fn thousandths(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// The most memory that this process has held so far; `None` where the system does not say.
fn peak_rss_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some((kib / 102.4).round() / 10.0)
}
