//! `pfgmpp transfer pfgm`: the reach of original PFGM for a data set.

use pfgmpp_objective::PfgmScales;
use pfgmpp_run::RunError;
use pfgmpp_transfer::ParameterError;
use serde::Serialize;

use super::text::plain;
use super::{flag, load_splits, print_json};
use crate::failure::Failure;
use crate::table::{align_right, new_table};
use crate::terminal::print;

/// Published for CIFAR-10: below `RESTRICTED_Z`, m is drawn from a part `RESTRICTED_M` of its range.
const RESTRICTED_Z: f64 = 0.005;
const RESTRICTED_M: f64 = 0.7;
/// Published end of the backward ODE.
const Z_MIN: f64 = 1e-3;
/// Published lower clip of the prior's norm.
const LOWER_NORM: f64 = 1.0;
/// Steps of the fixed-step methods.
const NUM_STEPS: usize = 100;

#[derive(clap::Args)]
pub struct Args {
    /// Data set, as a configuration names it, such as digits
    #[arg(
        long,
        value_name = "SOURCE",
        required_unless_present = "norm",
        conflicts_with = "norm"
    )]
    data: Option<String>,
    /// Data dimension N, in place of --data
    #[arg(long, value_name = "N", requires = "norm", value_parser = clap::value_parser!(u64).range(1..=1 << 40))]
    n: Option<u64>,
    /// Mean norm E|y| of the data, in place of --data
    #[arg(long, value_name = "R", requires = "n")]
    norm: Option<f64>,
    /// Growth of the noise per unit of m, less 1
    #[arg(long, value_name = "TAU", default_value_t = 0.03)]
    tau: f64,
    /// Standard deviation of the smallest noise
    #[arg(long, value_name = "S", default_value_t = 0.01)]
    sigma_end: f64,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// The answer: the JSON of `pfgmpp transfer pfgm`.
#[derive(Serialize)]
struct Recommendation {
    /// The data dimension.
    n: usize,
    /// Mean norm of the data.
    norm: f64,
    tau: f64,
    sigma_end: f64,
    /// Upper end M of the exponent m.
    max_m: f64,
    /// Where the backward ODE starts.
    z_max: f64,
    /// Upper clip of the prior's radius.
    upper_norm: f64,
}

pub fn pfgm(args: &Args) -> Result<(), Failure> {
    let (n, norm) = match (&args.data, args.n, args.norm) {
        (Some(data), ..) => measure(data)?,
        (None, Some(n), Some(norm)) => (n as usize, norm),
        _ => return Err(Failure::bad_input("--data, or --n and --norm, are needed")),
    };
    let named = |e: ParameterError| {
        if args.norm.is_none() && e.name == "norm" {
            return Failure::bad_input(format!("--data: {e}"));
        }
        flag(&e)
    };
    let scales = PfgmScales::recommended(n, norm, args.tau, args.sigma_end).map_err(named)?;
    let recommendation = Recommendation {
        n,
        norm,
        tau: args.tau,
        sigma_end: args.sigma_end,
        max_m: scales.max_m,
        z_max: scales.z_max,
        upper_norm: scales.upper_norm,
    };
    if args.json {
        return print_json(&recommendation);
    }
    print(format_args!(
        "{}\n\n{}",
        table(&recommendation),
        yaml(&recommendation)
    ));
    Ok(())
}

/// N and the mean norm of the training images.
fn measure(data: &str) -> Result<(usize, f64), Failure> {
    let train = load_splits(data)?.train;
    let squares = train
        .reference_images()
        .map_err(RunError::from)?
        .sqr()?
        .flatten_from(1)?
        .sum(1)?;
    let norms = squares.to_dtype(candle_core::DType::F64)?.sqrt()?;
    Ok((train.n(), norms.mean_all()?.to_scalar()?))
}

fn table(at: &Recommendation) -> String {
    let mut table = new_table();
    table.set_header(["", "", "formula"]);
    for (name, value, formula) in [
        ("N", at.n.to_string(), "values of a sample"),
        ("E|y|", plain(at.norm), "mean norm of the data"),
        (
            "max_m",
            at.max_m.to_string(),
            "floor(0.75 ln(E|y|^2 / (2 sqrt(N) sigma_end^2)) / ln(1+tau)) + 1",
        ),
        (
            "z_max",
            plain(at.z_max),
            "sqrt(2/pi) sigma_end (1+tau)^max_m",
        ),
        (
            "upper_norm",
            plain(at.upper_norm),
            "sqrt(N) sigma_end (1+tau)^max_m",
        ),
    ] {
        table.add_row([name.to_string(), value, formula.to_string()]);
    }
    align_right(&mut table, 1..2);
    format!("Original PFGM (D = 1, z = r = sigma):\n{table}")
}

/// The same as the sections of a configuration, with what else they ask for.
fn yaml(at: &Recommendation) -> String {
    let Recommendation { tau, sigma_end, .. } = at;
    format!(
        "objective:\n  pfgm:\n    perturbation:\n      tau: {tau:?}\n      max_m: {:?}\n      \
         sigma_end: {sigma_end:?}\n      restricted_z: {RESTRICTED_Z}\n      restricted_m: {RESTRICTED_M}\n\
         sampler:\n  schedule:\n    geometric:\n      num_steps: {NUM_STEPS}\n      sigma_min: {Z_MIN}\n      \
         sigma_max: {:.4}\n  prior_radius: [{LOWER_NORM:?}, {:.4}]",
        at.max_m, at.z_max, at.upper_norm
    )
}
