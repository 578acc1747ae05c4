//! The sweep's `report.html`: one file without scripts or outside resources.
//!
//! The plots are written as SVG elements here: they take their colours from the page's style sheet,
//! so that they follow the reader's light or dark theme, and their D axis ends in a break and ∞.
//! Plotting crates fix the colours in each element and know no such axis.

use pfgmpp_kernel::Dimension;
use pfgmpp_metrics::{Better, Description};
use pfgmpp_run::{Evaluated, PlanePaths};
use serde::Serialize;

mod cards;
mod comparisons;
mod configurations;
mod dimension_axis;
mod evaluations;
mod figures;
mod frame;
mod judgement;
mod loss_plot;
mod metric_plot;
mod number;
mod page;
mod paths;
mod png;
mod point;
mod scale;
mod stroke;
mod summary;
mod table;
#[cfg(test)]
mod tests;
mod text;

pub use configurations::Configuration;
pub use figures::{figures, is_own_figure};
pub use judgement::{Judgement, judgements};
pub use page::render;
pub use png::to_png;
pub use text::{latex, markdown, summary_csv};

/// Everything a report shows; plain data, nothing is read from disk.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The name of the sweep: the page's title.
    pub title: String,
    /// What the sweep asks, in a sentence or two; may be empty.
    pub description: String,
    /// The data sets that the rows name.
    pub data: Vec<DataSet>,
    /// What was run, as names and values: command, data set, network, training settings.
    pub settings: Vec<(String, String)>,
    /// The scores to show, in the order of the table's columns.
    pub metrics: Vec<Metric>,
    /// One row per run, in any order.
    pub rows: Vec<Row>,
    /// Values that give the metrics a scale.
    pub references: Vec<Reference>,
    /// What each run was made with.
    pub configurations: Vec<Configuration>,
}

/// A data set of the sweep.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DataSet {
    /// Its name in [`Row::data`].
    pub name: String,
    /// N, the number of values of an image or point.
    pub n: usize,
    /// What it consists of, in a line.
    pub found: String,
}

/// A score that rows and references may hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// The name in [`Row::scores`], such as `energy_distance`.
    pub key: String,
    /// What a reader is shown, such as `Energy distance`.
    pub label: String,
    /// The label where there is little room, such as `energy dist.`
    pub short: String,
    /// What the number means, in a sentence; may be empty.
    pub meaning: String,
    /// How runs compare by it.
    pub kind: MetricKind,
}

/// How runs compare by a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MetricKind {
    /// Plotted against D, the best is marked.
    Compared(Better),
    /// A figure for the table only, such as a duration.
    Figure,
}

impl Metric {
    /// The metric of [`Report`] that shows a score.
    pub fn of_scores(score: &Description) -> Self {
        let mut label = score.label.to_owned();
        if let Some(first) = label.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        let kind = if score.across_d {
            MetricKind::Compared(score.better)
        } else {
            MetricKind::Figure
        };
        Self {
            key: score.name.to_owned(),
            label,
            short: score.short.to_owned(),
            meaning: score.meaning.to_owned(),
            kind,
        }
    }

    /// Which way is better, of a metric by which runs compare.
    pub fn better(&self) -> Option<Better> {
        match self.kind {
            MetricKind::Compared(better) => Some(better),
            MetricKind::Figure => None,
        }
    }

    /// A figure that is listed but neither plotted nor compared.
    pub fn figure(key: &str, label: &str) -> Self {
        Self {
            key: key.to_owned(),
            label: label.to_owned(),
            short: label.to_owned(),
            meaning: String::new(),
            kind: MetricKind::Figure,
        }
    }
}

/// One run of the sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The run's folder name, such as `d=128,seed=0`.
    pub name: String,
    /// The data set: runs and references of one are shown together.
    pub data: String,
    /// D, if the run has one.
    pub d: Option<Dimension>,
    /// What tells the run from others of the same data, D and seed, such as `noise=nominal`; empty if
    /// nothing does.
    pub variant: String,
    /// The run's seed.
    pub seed: u64,
    /// How far the run has come.
    pub status: Status,
    /// Values by [`Metric::key`]; a value that is not finite is listed and left out of plots and
    /// means.
    pub scores: Vec<(String, f64)>,
    /// A grid of samples as an encoded PNG.
    pub grid_png: Option<Vec<u8>>,
    /// How some samples came about.
    pub paths: Option<Paths>,
    /// Training loss by the number of images seen (`nimg`).
    pub loss_curve: Vec<(f64, f64)>,
    /// What the model gave when it was sampled otherwise.
    pub evaluations: Vec<Evaluated>,
}

/// How some samples came about.
#[derive(Clone, Debug, PartialEq)]
pub enum Paths {
    /// Of data in the plane.
    Plane(PlanePaths),
    /// Of images: an encoded PNG with a row a sample.
    Strip(Vec<u8>),
}

/// How far a run has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Trained, sampled and scored.
    Finished,
    /// Not run to its end yet.
    Unfinished,
    /// Given up.
    Failed {
        /// Why, in a line.
        reason: String,
    },
}

/// What a metric gives for something that is no run of the sweep: the scale of its numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// A short name, such as `fitted Gaussian`.
    pub name: String,
    /// The data set that it is a scale for.
    pub data: String,
    /// What is compared, and what it tells, in a sentence; may be empty.
    pub meaning: String,
    /// Values by [`Metric::key`].
    pub scores: Vec<(String, f64)>,
}

/// The score named `key`.
fn score(scores: &[(String, f64)], key: &str) -> Option<f64> {
    scores
        .iter()
        .find(|(name, _)| name == key)
        .map(|&(_, value)| value)
}
