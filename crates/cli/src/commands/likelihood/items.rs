//! The data whose likelihoods are asked for, and the table of them.

use std::f64::consts::LN_2;
use std::fmt::Write;

use pfgmpp_data::Dataset;
use pfgmpp_run::{ItemLikelihood, SamplingModel};

use super::{Args, USUAL, is_of_images};
use crate::failure::Failure;

/// Items of one part of a data set.
pub struct Part {
    /// The part's name.
    pub name: &'static str,
    /// The whole part.
    pub data: Dataset,
    /// Which of it are taken.
    pub indices: Vec<usize>,
    /// Items of the parts before it, taken or not, by which seeds go on.
    pub before: u64,
}

/// Loads the data that `args` name, which are to fit `model`.
pub fn load(args: &Args, model: &SamplingModel) -> Result<Vec<Part>, Failure> {
    if args.dequantize && !is_of_images(model) {
        let message = "--dequantize: points in the plane have no grey levels: leave it out";
        return Err(Failure::bad_input(message));
    }
    take(args, args.data.load(model)?)
}

/// The items of the parts that are asked for.
fn take(args: &Args, parts: Vec<(&'static str, Dataset)>) -> Result<Vec<Part>, Failure> {
    let there: usize = parts.iter().map(|(_, data)| data.num_images()).sum();
    let asked = args.num.unwrap_or(USUAL.min(there as u64));
    if asked > there as u64 {
        return Err(Failure::bad_input(format!(
            "--num: must be at most the {there} items that there are, got {asked}"
        )));
    }
    // Evenly over all: data may stand class by class.
    let places: Vec<usize> = (0..asked as usize)
        .map(|i| i * there / asked as usize)
        .collect();
    let mut before = 0;
    let mut taken = Vec::new();
    for (name, data) in parts {
        let end = before + data.num_images();
        let here = places.iter().filter(|place| (before..end).contains(place));
        taken.push(Part {
            name,
            indices: here.map(|place| place - before).collect(),
            data,
            before: before as u64,
        });
        before = end;
    }
    taken.retain(|part| !part.indices.is_empty());
    Ok(taken)
}

/// A row for each item of `n` values.
pub fn to_csv(found: &[(&Part, Vec<ItemLikelihood>)], n: usize) -> String {
    let rows = || {
        let parts = found.iter();
        parts.flat_map(|(part, items)| {
            let indices = part.indices.iter().copied();
            indices.zip(items).map(|(index, item)| (*part, index, item))
        })
    };
    let probes = rows().next().map_or(0, |(_, _, item)| item.by_probe.len());
    let mut csv =
        "split,index,class,ln_p,ln_prior,nats_per_dimension,bits_per_dimension".to_string();
    for probe in 0..probes {
        write!(csv, ",ln_p_probe_{probe}").expect("a string takes all");
    }
    for (part, index, item) in rows() {
        let class = item.class.map_or(String::new(), |class| class.to_string());
        let nats = -item.ln_p / n as f64;
        let (name, ln_p, prior, bits) = (part.name, item.ln_p, item.prior, nats / LN_2);
        write!(csv, "\n{name},{index},{class},{ln_p},{prior},{nats},{bits}")
            .expect("a string takes all");
        for value in &item.by_probe {
            write!(csv, ",{value}").expect("a string takes all");
        }
    }
    csv + "\n"
}
