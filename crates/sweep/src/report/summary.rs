//! The answer in short: which point is best by each score, and which runs are missing.

use maud::{Markup, html};
use pfgmpp_metrics::Better;

use super::number::{deviation, significant};
use super::point::{Mean, Point, best, runs};
use super::{Metric, Reference, Row, Status, score};

/// Longer labels are set smaller.
const SHORT: usize = 14;

/// One tile per score by which runs compare, with its best point, and one that counts the runs.
pub(super) fn tiles(points: &[Point<'_>], metrics: &[Metric], references: &[Reference]) -> Markup {
    let finished = runs(points)
        .filter(|(_, row)| row.status == Status::Finished)
        .count();
    html! {
        div.tiles {
            @for metric in metrics {
                @if let Some((point, mean)) = best(points, metric) {
                    (tile(points, metric, point, mean, references))
                }
            }
            div.tile {
                span.soft { "Runs finished" }
                span.big { (finished) " of " (runs(points).count()) }
                @if points.iter().all(|point| point.rows.len() < 2) && points.len() > 1 {
                    span { "One seed each: small differences may be chance." }
                }
            }
        }
    }
}

fn tile(
    points: &[Point<'_>],
    metric: &Metric,
    point: &Point<'_>,
    mean: Mean,
    references: &[Reference],
) -> Markup {
    let value = significant(mean.value);
    let rivals = rivals(points, metric, point, mean);
    let superlative = metric.better().map(Better::superlative);
    let superlative = superlative.filter(|_| points.len() > 1);
    html! {
        div.tile {
            span.soft { (metric.label) @if let Some(best) = superlative { " is " (best) " at" } }
            span.big.long[point.label.chars().count() > SHORT] { (point.label) }
            span {
                strong { (value) }
                @if let Some(spread) = mean.deviation {
                    " ± " (deviation(spread, &value)) ", mean of " (mean.seeds) " seeds"
                }
            }
            @if !rivals.is_empty() {
                span {
                    "Within the scatter of the seeds: "
                    @if rivals.len() <= 3 { (rivals.join("; ")) } @else { (rivals.len()) " more" }
                }
            }
            @for reference in references {
                @if let Some(value) = score(&reference.scores, &metric.key) {
                    span.soft { (reference.name) " " (significant(value)) }
                }
            }
        }
    }
}

/// Points whose mean is less than two standard errors of the difference away from the best.
fn rivals(points: &[Point<'_>], metric: &Metric, winner: &Point<'_>, best: Mean) -> Vec<String> {
    let rank = |mean: Mean| metric.better().map(|better| better.rank(mean.value));
    let variance = |mean: Mean| {
        mean.deviation
            .map(|deviation| deviation.powi(2) / mean.seeds as f64)
    };
    let close = points.iter().filter(|point| {
        let other = point
            .mean(&metric.key)
            .filter(|_| point.label != winner.label);
        let error = other.and_then(|other| {
            Some((
                rank(other)? - rank(best)?,
                variance(other)? + variance(best)?,
            ))
        });
        error.is_some_and(|(difference, variance)| difference < 2.0 * variance.sqrt())
    });
    close.map(|point| point.label.clone()).collect()
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
