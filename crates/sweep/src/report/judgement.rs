//! Which points of a report are best, and whether chance explains it.

use pfgmpp_kernel::Dimension;
use pfgmpp_metrics::{Candidate, Contest, SeedMean, Verdict};
use serde::Serialize;

use super::point::{Point, along_d, dimension_label, points, variant_label, variants};
use super::{Metric, Reference, Row, score};

/// What the reference of a model without any structure is called.
const BASELINE: &str = "fitted Gaussian";

/// The verdict of one metric on points that are compared with each other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judgement {
    /// The data set.
    pub data: String,
    /// What the points have in common beside that, such as `setup=trained`; empty if they are all of the data set.
    pub variant: String,
    /// The metric's name.
    pub metric: String,
    /// The metric's name in running text.
    pub label: String,
    /// D of each standing of the verdict, where the points have one.
    pub d: Vec<Option<Dimension>>,
    /// What was found.
    pub verdict: Verdict,
    /// The places of the standings' points among those of the data set.
    #[serde(skip)]
    pub(super) places: Vec<usize>,
}

impl Judgement {
    /// The verdict as a sentence that says what it is about.
    pub fn sentence(&self) -> String {
        let variant = if self.variant.is_empty() {
            String::new()
        } else {
            format!(", {}", self.variant)
        };
        format!("{}{variant}: {}", self.label, self.verdict.sentence)
    }

    /// The place of the point that is best beyond chance.
    pub(super) fn winner(&self) -> Option<usize> {
        self.verdict.winner().map(|index| self.places[index])
    }

    /// The mean of each point over its seeds.
    pub fn means(&self) -> impl Iterator<Item = (&str, Option<SeedMean>)> {
        let standings = self.verdict.standings.iter();
        standings.map(|standing| (standing.label.as_str(), standing.mean))
    }
}

/// The judgements on all rows: data set by data set, in it variant by variant, in it metric by metric.
///
/// Points that D tells apart are compared along D with D = ∞ as control, each variant by itself; others all together,
/// without a control.
pub fn judgements(rows: &[Row], metrics: &[Metric], references: &[Reference]) -> Vec<Judgement> {
    let mut names: Vec<&str> = Vec::new();
    for row in rows {
        if !names.contains(&row.data.as_str()) {
            names.push(&row.data);
        }
    }
    let of_data = |data: &&str| {
        let of_data = rows.iter().filter(|row| row.data == *data);
        let references: Vec<&Reference> = references.iter().filter(|r| r.data == *data).collect();
        judge(data, &points(of_data), metrics, &references)
    };
    names.iter().flat_map(of_data).collect()
}

/// The judgements on the points of one data set.
pub(super) fn judge(
    data: &str,
    points: &[Point<'_>],
    metrics: &[Metric],
    references: &[&Reference],
) -> Vec<Judgement> {
    let lines = if along_d(points) {
        variants(points)
    } else {
        vec![""]
    };
    let mut all = Vec::new();
    for variant in &lines {
        let among = |point: &Point<'_>| !along_d(points) || point.variant == *variant;
        let places: Vec<usize> = (0..points.len()).filter(|&i| among(&points[i])).collect();
        for metric in metrics {
            let verdict = verdict(points, &places, metric, references);
            all.extend(verdict.map(|verdict| Judgement {
                data: data.to_owned(),
                variant: match lines.len() {
                    1 => String::new(),
                    _ => variant_label(variant).to_owned(),
                },
                metric: metric.key.clone(),
                label: metric.label.clone(),
                d: places.iter().map(|&place| points[place].d).collect(),
                verdict,
                places: places.clone(),
            }));
        }
    }
    all
}

fn verdict(
    points: &[Point<'_>],
    places: &[usize],
    metric: &Metric,
    references: &[&Reference],
) -> Option<Verdict> {
    let better = metric.better()?;
    let along_d = along_d(points);
    let candidates = places.iter().map(|&place| {
        let point = &points[place];
        let label = match point.d {
            Some(d) if along_d => format!("D = {}", dimension_label(d)),
            _ => point.label.clone(),
        };
        Candidate {
            label,
            scores: point.values(&metric.key),
        }
    });
    let candidates: Vec<Candidate> = candidates.collect();
    let is_infinite = |place: &usize| points[*place].d.is_some_and(Dimension::is_infinite);
    let control = places.iter().position(is_infinite).filter(|_| along_d);
    // Of several ways to score one data set there are several baselines, and none is that of all points.
    let baselines: Vec<f64> = references
        .iter()
        .filter(|reference| reference.name.starts_with(BASELINE))
        .filter_map(|reference| score(&reference.scores, &metric.key))
        .collect();
    Verdict::of(&Contest {
        better,
        candidates: &candidates,
        control,
        baseline: match baselines.as_slice() {
            [one] => Some(*one),
            _ => None,
        },
        noun: if along_d { "D" } else { "point" },
    })
}
