//! `pfgmpp transfer`: what a diffusion setup becomes at given N and D.

mod error;
mod pfgm;
mod text;

use std::path::PathBuf;

use pfgmpp_config::yaml::parse_value;
use pfgmpp_config::{ConfigError, Document, RunConfig};
use pfgmpp_data::{DataSource, Splits, Statistics};
use pfgmpp_kernel::Dimension;
use pfgmpp_run::RunError;
use pfgmpp_transfer::{DataScale, EdmSchedule, ParameterError, Schedule, Translation};
use serde::Serialize;

use crate::download::hub;
use crate::failure::Failure;
use crate::terminal::{note, print, print_json};

/// The most figures of one answer, all of which lie in memory at a time.
const MOST: usize = 10_000_000;

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    setup: SetupArgs,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Recommend the reach of original PFGM (D = 1) for a data set
    Pfgm(pfgm::Args),
    /// Measure a diffusion denoiser at effective noise levels against exact posteriors at each D
    Error(error::Args),
}

#[derive(clap::Args)]
struct SetupArgs {
    /// Data dimension N, such as 3072 for 3 x 32 x 32
    #[arg(long, value_name = "N", required_unless_present = "config", value_parser = clap::value_parser!(u64).range(1..=1 << 40))]
    n: Option<u64>,
    /// Dimensions D, such as 1,128,2048,inf [default with --config: its d]
    #[arg(
        long,
        value_name = "D,...",
        value_delimiter = ',',
        required_unless_present = "config"
    )]
    d: Vec<Dimension>,
    /// Take N, the schedule and the scale of the data from a configuration and its data
    #[arg(long, value_name = "FILE", conflicts_with_all = ["n", "sigma_min", "sigma_max", "rho", "num_steps", "sigma_data", "n_eff"])]
    config: Option<PathBuf>,
    /// Lowest noise level above zero
    #[arg(long, value_name = "S", default_value_t = 0.002)]
    sigma_min: f64,
    /// Noise level of the prior
    #[arg(long, value_name = "S", default_value_t = 80.0)]
    sigma_max: f64,
    /// Exponent of the schedule
    #[arg(long, value_name = "RHO", default_value_t = 7.0)]
    rho: f64,
    /// Solver steps
    #[arg(long, value_name = "K", default_value_t = 18)]
    num_steps: usize,
    /// Root mean square of the data
    #[arg(long, value_name = "S", default_value_t = 0.5)]
    sigma_data: f64,
    /// Effective dimension 2 E[|y|^2]^2 / Var |y|^2 of the data [default: N, that of white data]
    #[arg(long, value_name = "N")]
    n_eff: Option<f64>,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// A setup and what it becomes: the JSON of `pfgmpp transfer`.
#[derive(Serialize)]
struct Transfer {
    /// The data dimension.
    n: usize,
    /// What is known of the data.
    data: DataScale,
    /// The schedule's noise levels, highest first, ending with 0.
    sigma: Vec<f64>,
    /// The setup at each D.
    dimensions: Vec<Translation>,
}

pub fn transfer(args: &Args) -> Result<(), Failure> {
    match &args.command {
        None => setup(&args.setup),
        Some(Command::Pfgm(args)) => pfgm::pfgm(args),
        Some(Command::Error(args)) => error::error(args),
    }
}

fn setup(args: &SetupArgs) -> Result<(), Failure> {
    let setup = match &args.config {
        Some(path) => Setup::from_config(path)?,
        None => Setup::from_flags(args)?,
    };
    let dims: &[Dimension] = if args.d.is_empty() { &setup.d } else { &args.d };
    let figures = dims.len().saturating_mul(setup.sigma.len());
    if figures > MOST {
        return Err(Failure::bad_input(format!(
            "--num-steps: {} levels at {} dimensions are more figures than {MOST}",
            setup.sigma.len(),
            dims.len()
        )));
    }
    let sigma_data = setup.data.second_moment.sqrt();
    let levels: Vec<f64> = setup.sigma.iter().copied().filter(|s| *s > 0.0).collect();
    let (highest, lowest) = (levels[0], levels[levels.len() - 1]);
    let translate = |&d: &Dimension| {
        let at = [lowest, sigma_data, highest];
        Translation::new(setup.n, d, &setup.sigma, setup.data, &at)
            .map_err(|e| Failure::bad_input(format!("--d {d}: {e}")))
    };
    let dimensions: Result<Vec<Translation>, Failure> = dims.iter().map(translate).collect();
    let transfer = Transfer {
        n: setup.n,
        data: setup.data,
        sigma: setup.sigma,
        dimensions: dimensions?,
    };
    if args.json {
        print_json(&transfer)
    } else {
        print(text::transfer(&transfer));
        Ok(())
    }
}

/// What a diffusion setup says, whoever said it.
struct Setup {
    n: usize,
    d: Vec<Dimension>,
    sigma: Vec<f64>,
    data: DataScale,
}

impl Setup {
    fn from_config(path: &std::path::Path) -> Result<Self, Failure> {
        let (document, _) = Document::read::<RunConfig>(path)?;
        let config = RunConfig::read(&document, &[])?;
        let train = load(&config.data)?.train;
        let levels = config.sampler.schedule.levels();
        let levels = levels.map_err(|e| ConfigError::new("sampler.schedule", e))?;
        let measured = Statistics::measure(&train).map_err(RunError::from)?;
        Ok(Self {
            n: train.n(),
            d: vec![config.d()],
            sigma: levels.as_slice().to_vec(),
            data: DataScale {
                second_moment: measured.second_moment,
                n_eff: measured.n_eff,
            },
        })
    }

    fn from_flags(args: &SetupArgs) -> Result<Self, Failure> {
        let schedule = EdmSchedule {
            num_steps: args.num_steps,
            sigma_min: args.sigma_min,
            sigma_max: args.sigma_max,
            rho: args.rho,
        };
        schedule.check().map_err(|e| flag(&e))?;
        let levels = Schedule::Edm(schedule).levels();
        let levels = levels.map_err(|e| flag(&e))?;
        ParameterError::within("sigma_data", args.sigma_data, 1e-4, 1e4).map_err(|e| flag(&e))?;
        let n = args.n.unwrap_or_default() as usize;
        let n_eff = args.n_eff.unwrap_or(n as f64);
        ParameterError::positive("n_eff", n_eff).map_err(|e| flag(&e))?;
        Ok(Self {
            n,
            d: Vec::new(),
            sigma: levels.as_slice().to_vec(),
            data: DataScale {
                second_moment: args.sigma_data.powi(2),
                n_eff,
            },
        })
    }
}

/// Bad input in the flag that is spelled as the parameter is, with dashes.
fn flag(error: &ParameterError) -> Failure {
    Failure::bad_input(format!("--{}: {error}", error.name.replace('_', "-")))
}

/// The data source that `--data` names: as in a configuration.
fn source(text: &str) -> Result<DataSource, Failure> {
    let source: DataSource = parse_value(text, &format!("--data {text}"))?;
    source.fetch(&hub()).map_err(RunError::from)?;
    Ok(source)
}

/// Both parts of the data set that `--data` names.
fn load_splits(text: &str) -> Result<Splits, Failure> {
    load(&source(text)?)
}

/// Both parts of a data set; what was found is said on standard error.
fn load(source: &DataSource) -> Result<Splits, Failure> {
    let splits = source.load().map_err(RunError::from)?;
    note(format_args!("data: {}", splits.found));
    Ok(splits)
}
