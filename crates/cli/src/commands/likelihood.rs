//! `pfgmpp likelihood`: how likely a model finds data.

mod items;
mod report;

use std::path::PathBuf;

use candle_core::Device;
use pfgmpp_run::{
    DataLikelihood, ItemLikelihood, LIKELIHOOD_SOLVER, LikelihoodSummary, RunError, SamplingModel,
    StopFlag,
};
use pfgmpp_sampler::{ProbeKind, Solver, Trace};
use pfgmpp_store::write_file;

use self::items::Part;
use crate::data_args::DataArgs;
use crate::device::DeviceArgs;
use crate::failure::Failure;
use crate::interrupt::stop_on_signal;
use crate::model_args::ModelArgs;
use crate::out_file;
use crate::terminal::{Counter, note};

/// Data taken where --num is not given, if there are so many.
const USUAL: u64 = 256;

#[derive(clap::Args)]
#[command(override_usage = "pfgmpp likelihood [OPTIONS] --checkpoint <REF> --data <SOURCE>")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Number of items, evenly spaced [default: 256, or all if there are fewer]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    num: Option<u64>,
    /// Items taken at a time, at least one per thread; it changes memory and speed, not the likelihoods
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    batch: u64,
    /// Seed of the first item's probes; the next item has the next seed
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Random probes per item that estimate the trace; two or more also give their scatter
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=4096))]
    probes: u64,
    /// The law of the probes
    #[arg(long, value_enum, default_value_t = Probes::Rademacher)]
    probe_kind: Probes,
    /// Take the trace exactly: data of at most 64 values, one derivative for each of them
    #[arg(long, conflicts_with_all = ["probes", "probe_kind"])]
    exact_trace: bool,
    /// Add uniform noise of one of 256 grey levels to the data, as likelihoods of 8-bit images require
    #[arg(long)]
    dequantize: bool,
    /// A CSV file with the likelihood of each item
    #[arg(long, value_name = "FILE.csv")]
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

#[derive(Clone, Copy, clap::ValueEnum)]
enum Probes {
    /// Signs
    Rademacher,
    /// Standard normal values
    Gaussian,
}

pub fn likelihood(args: &Args) -> Result<(), Failure> {
    args.check()?;
    let signals = stop_on_signal()?;
    let device = args.device.open()?;
    let model = args.model.load(None, args.seed, &device)?;
    let n = model.shape().iter().product();
    let refused = |e| Failure::bad_input(format!("the trace: {e}"));
    args.trace().check(n).map_err(refused)?;
    let parts = items::load(args, &model)?;
    let num: usize = parts.iter().map(|part| part.indices.len()).sum();
    if device.is_cpu() {
        let batch = args.batch.min(num as u64);
        model.check_likelihood_memory("--batch", batch, args.probes)?;
    }
    for line in report::assumptions(args, &model) {
        note(line);
    }
    let found = measure(args, &model, &parts, (&device, signals.begin()))?;
    if let Some(out) = &args.out {
        let table = items::to_csv(&found, n);
        write_file(out, table.as_bytes()).map_err(|e| RunError::io(out)(e))?;
    }
    let all: Vec<ItemLikelihood> = found.into_iter().flat_map(|(_, items)| items).collect();
    let summary = LikelihoodSummary::of(&all, n, args.trace());
    report::report(args, &model, &summary)
}

/// The likelihoods of the items of each part.
fn measure<'a>(
    args: &Args,
    model: &SamplingModel,
    parts: &'a [Part],
    (device, stop): (&Device, &StopFlag),
) -> Result<Vec<(&'a Part, Vec<ItemLikelihood>)>, Failure> {
    let num: usize = parts.iter().map(|part| part.indices.len()).sum();
    let counter = Counter::new(num as u64, "likelihoods");
    let mut found = Vec::new();
    for part in parts {
        let likelihood = DataLikelihood {
            model,
            data: &part.data,
            solver: args.solver(model),
            trace: args.trace(),
            seed: args.seed.wrapping_add(part.before),
            dequantize: args.dequantize,
            batch_size: args.batch as usize,
            device,
        };
        let all = likelihood.of(&part.indices, stop, |done| counter.add(done as u64));
        let Some(all) = all? else {
            counter.close();
            return Err(Failure::from(RunError::Stopped));
        };
        found.push((part, all));
    }
    counter.close();
    Ok(found)
}

impl Args {
    /// The solver that the flags ask for, or one that likelihoods need.
    fn solver<'a>(&self, model: &'a SamplingModel) -> &'a dyn Solver {
        match self.model.sets_solver() {
            true => model.sampler().solver(),
            false => &LIKELIHOOD_SOLVER,
        }
    }

    /// Refuses what needs no model to be told wrong.
    fn check(&self) -> Result<(), Failure> {
        if self.model.sets_steps() && !self.model.sets_solver() {
            let message = "--steps: the solver of likelihoods, rk45 at 1e-4, chooses its steps: give --solver too";
            return Err(Failure::bad_input(message));
        }
        if self.model.guesses_previous() {
            let message = "--guess previous: a likelihood is a function of the data alone, without a last estimate: \
                           take data-mean or fixed-point";
            return Err(Failure::bad_input(message));
        }
        match &self.out {
            None => Ok(()),
            Some(out) => out_file::check(out, &["csv"], self.overwrite),
        }
    }

    fn trace(&self) -> Trace {
        if self.exact_trace {
            return Trace::Exact;
        }
        Trace::Hutchinson {
            probes: self.probes as usize,
            kind: match self.probe_kind {
                Probes::Rademacher => ProbeKind::Rademacher,
                Probes::Gaussian => ProbeKind::Gaussian,
            },
        }
    }
}

/// Whether a model is of images, whose values may be grey levels.
fn is_of_images(model: &SamplingModel) -> bool {
    pfgmpp_data::is_image(model.shape())
}
