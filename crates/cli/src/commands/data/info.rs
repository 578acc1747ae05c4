//! `pfgmpp data info`: what a data source holds.

use std::collections::BTreeMap;

use pfgmpp_config::yaml::to_line;
use pfgmpp_data::{DataError, DataSource, Dataset, Splits, Statistics};
use pfgmpp_run::RunError;
use serde::Serialize;

use crate::data_args::source;
use crate::download::hub;
use crate::failure::Failure;
use crate::terminal::{print, print_json};

/// Names of classes that are shown.
const MOST_NAMES: usize = 10;

#[derive(clap::Args)]
pub struct Args {
    /// The data: a path, or a source as in a configuration, such as digits or '{zip: {path: a.zip}}'
    #[arg(value_name = "SRC")]
    source: String,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// What there is to say: the JSON of `pfgmpp data info`.
#[derive(Serialize)]
struct Info {
    /// The set.
    name: String,
    /// As a configuration names it.
    source: DataSource,
    /// Items to learn from.
    train: usize,
    /// Items held out.
    held_out: usize,
    /// `[C, H, W]`.
    shape: [usize; 3],
    /// The smallest and the largest value, over both parts.
    range: [f64; 2],
    /// Of the values to learn from.
    mean: f64,
    /// Standard deviation of the values to learn from: `sigma_data`.
    sigma_data: f64,
    /// Effective dimension of `|y|^2`; `null` where it is infinite.
    n_eff: Option<f64>,
    /// Classes, 0 without any.
    classes: usize,
    /// Names of classes, in their order; empty where they have none.
    class_names: Vec<String>,
    /// Items to learn from of each class.
    class_counts: Vec<usize>,
    /// What was done to items, and what else there is to know.
    remarks: Vec<String>,
    /// What was left out, and why.
    left_out: Vec<String>,
}

pub fn info(args: &Args) -> Result<(), Failure> {
    let source = source("SRC", &args.source)?;
    let at = |e: DataError| Failure::from(RunError::from(e));
    source.fetch(&hub()).map_err(at)?;
    let splits = source.load_from(&hub()).map_err(at)?;
    let info = Info::of(source, splits)?;
    match args.json {
        true => print_json(&info),
        false => {
            info.print();
            Ok(())
        }
    }
}

impl Info {
    fn of(source: DataSource, splits: Splits) -> Result<Self, Failure> {
        let statistics = Statistics::measure(&splits.train).map_err(RunError::from)?;
        let range = |data: &Dataset| data.range().map_err(RunError::from);
        let parts = [range(&splits.train)?, range(&splits.held_out)?];
        // Labels that cannot serve as classes are said among the remarks.
        let labels = splits.train.class_labels().ok().flatten();
        let class_names = labels.map_or_else(Vec::new, |labels| labels.names().to_vec());
        let found = splits.found;
        Ok(Self {
            name: found.name,
            source,
            train: found.train,
            held_out: found.held_out,
            shape: found.shape,
            range: [
                parts[0].start().min(*parts[1].start()).into(),
                parts[0].end().max(*parts[1].end()).into(),
            ],
            mean: statistics.mean,
            sigma_data: statistics.std,
            n_eff: Some(statistics.n_eff).filter(|n_eff| n_eff.is_finite()),
            classes: found.classes,
            class_names,
            class_counts: splits.train.class_counts(),
            remarks: found.remarks,
            left_out: found.skipped.iter().map(ToString::to_string).collect(),
        })
    }

    fn print(&self) {
        let [channels, height, width] = self.shape;
        let n = channels * height * width;
        let line =
            |name: &str, text: &dyn std::fmt::Display| print(format_args!("{name:<11} {text}"));
        line("name", &self.name);
        line(
            "config",
            &to_line(&BTreeMap::from([("data", &self.source)])),
        );
        line(
            "items",
            &format_args!("{} to learn from, {} held out", self.train, self.held_out),
        );
        line(
            "shape",
            &format_args!("{channels}x{height}x{width}, N = {n}"),
        );
        line(
            "values",
            &format_args!(
                "{:.4} to {:.4}, mean {:.4}",
                self.range[0], self.range[1], self.mean
            ),
        );
        line("sigma_data", &format_args!("{:.4}", self.sigma_data));
        match self.n_eff {
            Some(n_eff) => line("n_eff", &format_args!("{n_eff:.1}")),
            None => line("n_eff", &"infinite: all items have one norm"),
        }
        line("classes", &self.classes_line());
        for remark in &self.remarks {
            line("note", remark);
        }
        for left_out in &self.left_out {
            line("left out", left_out);
        }
    }

    fn classes_line(&self) -> String {
        let (Some(fewest), Some(most)) = (
            self.class_counts.iter().min(),
            self.class_counts.iter().max(),
        ) else {
            return "none".to_string();
        };
        let items = match fewest == most {
            true => format!("{fewest} items to learn from each"),
            false => format!("{fewest} to {most} items to learn from each"),
        };
        let mut names: Vec<&str> = self.class_names.iter().map(String::as_str).collect();
        if names.len() > MOST_NAMES {
            names.truncate(MOST_NAMES);
            names.push("...");
        }
        let names = match names.is_empty() {
            true => String::new(),
            false => format!(": {}", names.join(", ")),
        };
        format!("{}, {items}{names}", self.classes)
    }
}
