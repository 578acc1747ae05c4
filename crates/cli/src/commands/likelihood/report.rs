//! What is said of likelihoods.

use pfgmpp_kernel::Dimension;
use pfgmpp_run::{LikelihoodSummary, SamplingModel};
use pfgmpp_sampler::{ProbeKind, Solver, Trace};
use serde::Serialize;

use super::{Args, is_of_images};
use crate::failure::Failure;
use crate::terminal::{print, print_json};

/// What was found, as JSON.
#[derive(Serialize)]
struct Found<'a> {
    #[serde(flatten)]
    summary: &'a LikelihoodSummary,
    d: Dimension,
    n: usize,
    /// The solver.
    solver: String,
    /// Steps up the noise levels; absent of a solver that chooses its own.
    num_steps: Option<usize>,
    /// The noise level that the data are taken to have.
    sigma_min: f64,
    /// That of the prior.
    sigma_max: f64,
    prior: String,
    trace: String,
    dequantized: bool,
    /// Whether the items are of classes, which they are likely or unlikely in.
    by_class: bool,
    assumptions: Vec<String>,
}

/// Prints `summary`, of the items that `args` ask for under `model`.
pub fn report(
    args: &Args,
    model: &SamplingModel,
    summary: &LikelihoodSummary,
) -> Result<(), Failure> {
    let levels = model.sampler().levels().reversed();
    let [sigma_min, sigma_max] = levels.ends();
    let found = Found {
        summary,
        d: model.d(),
        n: model.shape().iter().product(),
        solver: solver(args.solver(model)),
        num_steps: (!args.solver(model).adapts()).then_some(levels.num_steps()),
        sigma_min,
        sigma_max,
        prior: prior(model, sigma_max),
        trace: trace(args.trace()),
        dequantized: args.dequantize,
        by_class: model.label_dim() > 0,
        assumptions: assumptions(args, model),
    };
    if args.json {
        return print_json(&found);
    }
    say(args, model, &found);
    Ok(())
}

fn say(args: &Args, model: &SamplingModel, found: &Found) {
    let summary = found.summary;
    let nats = summary.nats_per_dimension;
    let errors = errors(args, summary);
    print(format_args!(
        "negative log-likelihood: {nats:.4} nats per dimension, {:.4} bits, of {} items",
        summary.bits_per_dimension, summary.num
    ));
    if is_of_images(model) {
        print(format_args!(
            "as 8-bit images: {:.4} bits per dimension (a grey level is 2/255 of the data's units: log2(127.5) = 6.9944 more)",
            summary.bits_per_dimension_8_bit
        ));
        if summary.bits_per_dimension_8_bit < 0.0 {
            print(
                "  no image costs less than nothing: the solver's steps are too few, or the data lie on a grid (--dequantize)",
            );
        }
    }
    print(format_args!("standard error of the mean: {errors}"));
    print(format_args!(
        "N = {}, D = {}; prior: {}, which gives {:.4} nats per dimension",
        found.n, found.d, found.prior, summary.prior_nats_per_dimension
    ));
    print(format_args!(
        "solver: {}, {}from sigma = {} up to {}{}, {:.1} evaluations per item; trace: {}",
        found.solver,
        match found.num_steps {
            None => String::new(),
            Some(steps) => format!("{steps} steps "),
        },
        found.sigma_min,
        found.sigma_max,
        match found.num_steps {
            None => "",
            Some(_) => " (without the one to 0)",
        },
        summary.evaluations,
        found.trace
    ));
    print(format_args!(
        "dequantization: {}",
        match found.dequantized {
            true => "uniform noise of one of 256 grey levels",
            false => "none, the data as they are",
        }
    ));
    if let Some(out) = &args.out {
        print(format_args!("by item: {}", out.display()));
    }
}

/// `0.0123 over the data, 0.0012 over the probes`
fn errors(args: &Args, summary: &LikelihoodSummary) -> String {
    let bits = |nats: f64| nats / std::f64::consts::LN_2;
    let data = match summary.standard_error_data {
        Some(error) => format!("{error:.4} nats ({:.4} bits) over the data", bits(error)),
        None => "unknown over the data, of which there is one".to_string(),
    };
    let probes = match summary.standard_error_probes {
        Some(_) if args.exact_trace => "none of probes".to_string(),
        Some(error) => format!("{error:.4} nats of that from the probes"),
        None => "unknown over the probes (--probes 2 tells)".to_string(),
    };
    format!("{data}, {probes}")
}

/// What the figures take for granted, a sentence each.
pub fn assumptions(args: &Args, model: &SamplingModel) -> Vec<String> {
    let lowest = model.sampler().levels().reversed().ends()[0];
    let mut lines = vec![format!(
        "the data count as states at the lowest noise level, sigma = {lowest}"
    )];
    if model.is_lifted() {
        lines.push(
            "the effective noise level is measured from the data's mean (or by --guess fixed-point), not from the last estimate as \
             samples are"
                .to_string(),
        );
    }
    if let Some(guidance) = &model.sampler_config().guidance {
        lines.push(format!(
            "the model is guided (scale {}), and the likelihood is that of the guided ODE",
            guidance.scale
        ));
    }
    if !args.solver(model).adapts() {
        lines.push(
            "the integral has the error of the solver's steps: see how far more --steps move it"
                .to_string(),
        );
    }
    if model.label_dim() > 0 {
        lines.push("each item is taken in its own class".to_string());
    }
    if model.columns().is_some() {
        lines.push(format!(
            "the density is that of the table's own units: {} was added to the nats per dimension of the standardised columns",
            format_args!("{:.4}", model.ln_units() / model.shape().iter().product::<usize>() as f64)
        ));
    }
    if !args.dequantize && is_of_images(model) {
        lines.push(
            "the data are not dequantized: a density of values on a grid has no upper bound (--dequantize)"
                .to_string(),
        );
    }
    lines
}

/// `rk45 (rtol 0.0001, atol 0.0001)`
fn solver(solver: &dyn Solver) -> String {
    let shown = format!("{solver:?}").to_lowercase();
    let shown = shown.replace(" { ", " (").replace(" }", ")");
    shown.replace(": ", " ")
}

fn prior(model: &SamplingModel, sigma_max: f64) -> String {
    match model.d() {
        Dimension::Infinite => format!("Gaussian of scale {sigma_max}"),
        d => format!("Student-t of {d} degrees of freedom and scale {sigma_max}"),
    }
}

fn trace(trace: Trace) -> String {
    match trace {
        Trace::Exact => "exact".to_string(),
        Trace::Hutchinson { probes, kind } => {
            let kind = match kind {
                ProbeKind::Rademacher => "Rademacher",
                ProbeKind::Gaussian => "Gaussian",
            };
            let probes = match probes {
                1 => "1 probe".to_string(),
                several => format!("{several} probes"),
            };
            format!("Hutchinson's estimate, {probes} ({kind}) per item")
        }
    }
}
