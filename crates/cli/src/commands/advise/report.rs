//! What is said of the levels that samples met.

use pfgmpp_kernel::Dimension;
use pfgmpp_run::{LevelMet, LevelsMet, SamplingModel};
use serde::Serialize;

use super::Args;
use crate::failure::Failure;
use crate::table::{self, align_right, new_table, number};
use crate::terminal::{print, print_json};

/// What was found, as JSON; a kappa that is infinite is the string `inf`.
#[derive(Serialize)]
struct Found<'a> {
    d: Dimension,
    n: usize,
    num: usize,
    mean_square: f64,
    interval: [f64; 2],
    kappa: Dimension,
    kappa_interval: [Dimension; 2],
    weight: f64,
    advice: String,
    levels: &'a [LevelMet],
}

/// Prints what `met` says of the sampler of `model`.
pub fn report(args: &Args, model: &SamplingModel, met: &LevelsMet) -> Result<(), Failure> {
    let kappa = met.kappa();
    let [low, high] = met.kappa_interval();
    let advice = advice(met);
    if args.json {
        return print_json(&Found {
            d: model.d(),
            n: met.n,
            num: met.num,
            mean_square: met.mean_square,
            interval: met.interval,
            kappa: dimension(kappa),
            kappa_interval: [dimension(low), dimension(high)],
            weight: weight(kappa, met.n),
            advice,
            levels: &met.levels,
        });
    }
    let mut table = new_table();
    table.set_header([
        "sigma",
        "bias of ln(shown/sigma)",
        "variance",
        "kappa",
        "counts",
    ]);
    for level in &met.levels {
        table.add_row([
            number(Some(level.sigma)),
            format!("{:+.4}", level.bias),
            format!("{:+.5}", level.variance),
            text(level.kappa()),
            if level.readable { "yes" } else { "no" }.to_string(),
        ]);
    }
    align_right(&mut table, 0..4);
    print(table);
    print(format_args!(
        "kappa* = {} (95 %: {} to {}), weight of the schedule {:.3}, D = {}, N = {}",
        text(kappa),
        text(low),
        text(high),
        weight(kappa, met.n),
        model.d(),
        met.n
    ));
    print(table::wrapped(&advice));
    if let Some(out) = &args.out {
        print(format_args!("picture: {}", out.display()));
    }
    Ok(())
}

/// What to do.
fn advice(met: &LevelsMet) -> String {
    let [low, high] = met.kappa_interval();
    if high.is_infinite() && low > met.n as f64 {
        return "the levels can hardly be told from the schedule: keep it (--self-timed inf)"
            .to_string();
    }
    let worst = met.worst().map(|level| {
        let (sigma, kappa) = (number(Some(level.sigma)), text(level.kappa()));
        format!("; kappa = {kappa} at sigma = {sigma}, where levels stray most")
    });
    format!(
        "try --self-timed {0}, or D = {0}, which trusts its schedule as much{1}",
        text(met.kappa()),
        worst.unwrap_or_default()
    )
}

/// The weight of a schedule that counts as `kappa` observations beside `n`.
fn weight(kappa: f64, n: usize) -> f64 {
    if kappa.is_infinite() {
        1.0
    } else {
        kappa / (n as f64 + kappa)
    }
}

fn dimension(kappa: f64) -> Dimension {
    Dimension::new(kappa).unwrap_or(Dimension::Infinite)
}

/// Two digits: the interval allows no more.
fn text(kappa: f64) -> String {
    if kappa.is_infinite() {
        return "inf".to_string();
    }
    let decimals = (1.0 - kappa.log10().floor()).max(0.0) as usize;
    format!("{kappa:.decimals$}")
}
