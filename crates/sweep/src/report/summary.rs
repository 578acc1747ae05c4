//! The answer in short: the verdicts, which point has the best mean, and which runs are missing.

use maud::{Markup, html};
use pfgmpp_metrics::{Better, Finding};

use super::judgement::Judgement;
use super::number::significant;
use super::point::{Point, runs};
use super::table::interval;
use super::{Metric, Reference, Row, Status, score};

/// Longer labels are set smaller.
const SHORT: usize = 14;

/// What was found, the first metric's first.
pub(super) fn verdict(judgements: &[Judgement]) -> Markup {
    html! {
        @if let [first, others @ ..] = judgements {
            section.verdict aria-label="Verdict" {
                p.found { (first.sentence()) "." }
                @for judgement in others { p { (judgement.sentence()) "." } }
            }
        }
    }
}

/// One tile per score by which runs compare, and one that counts the runs.
pub(super) fn tiles(
    points: &[Point<'_>],
    metrics: &[Metric],
    references: &[Reference],
    judgements: &[Judgement],
) -> Markup {
    let finished = runs(points)
        .filter(|(_, row)| row.status == Status::Finished)
        .count();
    html! {
        div.tiles {
            @for metric in metrics {
                @let judged: Vec<_> = judgements.iter().filter(|found| found.metric == metric.key).collect();
                @match (judged.as_slice(), points) {
                    ([], [point]) => { (lone_tile(metric, point, references)) },
                    (judged, _) => {
                        @for judgement in judged { (tile(points, metric, judgement, references)) }
                    }
                }
            }
            div.tile {
                span.soft { "Runs finished" }
                span.big { (finished) " of " (runs(points).count()) }
                @if points.iter().all(|point| point.rows.len() < 2) && points.len() > 1 {
                    span { "One seed each: differences may be chance." }
                }
            }
        }
    }
}

fn tile(
    points: &[Point<'_>],
    metric: &Metric,
    judgement: &Judgement,
    references: &[Reference],
) -> Markup {
    let verdict = &judgement.verdict;
    let found = match (judgement.winner(), &verdict.finding) {
        (Some(place), _) => format!("{} is best", points[place].label),
        (None, Finding::Best) => "none beats the Gaussian".to_owned(),
        (None, Finding::Apart { .. }) => "no single best".to_owned(),
        (None, Finding::NotApart) => "cannot be told apart".to_owned(),
        (None, Finding::TooFewSeeds) => "too few seeds to tell".to_owned(),
    };
    let superlative = metric.better().map(Better::superlative);
    let point = &points[judgement.places[verdict.best]];
    html! {
        div.tile {
            span.soft { (metric.label) @if !judgement.variant.is_empty() { ", " (judgement.variant) } }
            span.big.long[found.chars().count() > SHORT] { (found) }
            span { (superlative.unwrap_or_default()) " mean: " (point.label) ", " (mean(point, metric)) }
            (scale(metric, references))
        }
    }
}

/// The tile of a sweep with one point, which there is nothing to compare with.
fn lone_tile(metric: &Metric, point: &Point<'_>, references: &[Reference]) -> Markup {
    html! {
        @if metric.better().is_some() && point.mean(&metric.key).is_some() {
            div.tile {
                span.soft { (metric.label) }
                span.big.long[point.label.chars().count() > SHORT] { (point.label) }
                span { (mean(point, metric)) }
                (scale(metric, references))
            }
        }
    }
}

/// `0.0044 [0.0041, 0.0047], 5 seeds`
fn mean(point: &Point<'_>, metric: &Metric) -> Markup {
    let mean = point.mean(&metric.key);
    html! {
        @if let Some(mean) = mean {
            @let value = significant(mean.mean);
            strong { (value) }
            @if let Some(ends) = mean.interval {
                " " (interval(ends, &value)) ", " (mean.seeds) " seeds"
            }
        }
    }
}

fn scale(metric: &Metric, references: &[Reference]) -> Markup {
    html! {
        @for reference in references {
            @if let Some(value) = score(&reference.scores, &metric.key) {
                span.soft { (reference.name) " " (significant(value)) }
            }
        }
    }
}

/// The failed runs with their reasons, nothing if all went well.
pub(super) fn failures(rows: &[Row]) -> Markup {
    let failed = rows.iter().filter_map(|row| match &row.status {
        Status::Failed { reason } => Some((&row.name, reason)),
        _ => None,
    });
    let failed: Vec<_> = failed.collect();
    html! {
        @if !failed.is_empty() {
            section.failures {
                h2 {
                    (failed.len())
                    @if failed.len() == 1 { " run failed" } @else { " runs failed" }
                }
                ul {
                    @for (name, reason) in failed { li { code { (name) } ": " (reason) } }
                }
            }
        }
    }
}
