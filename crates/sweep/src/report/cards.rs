//! The sample grids side by side, one card a run.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};

use super::number::significant;
use super::point::{Point, along_d, runs, variants};
use super::{Metric, Row, Status, score};

/// The cards of all runs, those of one seed together; nothing if no run has samples.
///
/// Seeds after the first are folded away: they show the same thing again.
pub(super) fn cards(points: &[Point<'_>], metrics: &[Metric]) -> Markup {
    let mut seeds: Vec<u64> = runs(points).map(|(_, row)| row.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    html! {
        @if runs(points).any(|(_, row)| row.grid_png.is_some()) {
            section {
                h2 { "Samples" }
                @for (index, &seed) in seeds.iter().enumerate() {
                    @if index == 0 {
                        @if seeds.len() > 1 { h3 { "Seed " (seed) } }
                        (cards_of_seed(points, metrics, seed))
                    } @else {
                        details {
                            summary { "Seed " (seed) }
                            (cards_of_seed(points, metrics, seed))
                        }
                    }
                }
            }
        }
    }
}

/// One line of cards for each variant, so that each D stands beneath itself.
fn cards_of_seed(points: &[Point<'_>], metrics: &[Metric], seed: u64) -> Markup {
    let variants = variants(points);
    let along_d = along_d(points);
    let lines = if along_d { variants.len() } else { 1 };
    let shown = |line: usize| {
        let of_seed = runs(points).filter(move |(_, row)| row.seed == seed);
        let variant = variants[line];
        of_seed.filter(move |(point, _)| !along_d || point.variant == variant)
    };
    html! {
        @for line in 0..lines {
            div.cards style=(format!("--n:{}", shown(line).count().max(1))) {
                @for (point, row) in shown(line) { (card(point, row, metrics)) }
            }
        }
    }
}

fn card(point: &Point<'_>, row: &Row, metrics: &[Metric]) -> Markup {
    let shown = metrics.iter().filter(|metric| metric.better().is_some());
    html! {
        figure.card {
            @match &row.grid_png {
                Some(png) => {
                    @let what = format!("Grid of samples, {}, seed {}", point.label, row.seed);
                    // A box that is ticked shows its picture as large as the window, without a script.
                    label.enlarge title="Enlarge" {
                        input type="checkbox" aria-label=(format!("Enlarge: {what}"));
                        img alt=(what) src=(format!("data:image/png;base64,{}", STANDARD.encode(png)));
                    }
                }
                None => div.missing { (absence(&row.status)) },
            }
            figcaption {
                strong { (point.label) }
                dl {
                    @for metric in shown {
                        @if let Some(value) = score(&row.scores, &metric.key) {
                            dt title=(metric.label) { (metric.short) }
                            dd { (significant(value)) }
                        }
                    }
                }
            }
        }
    }
}

fn absence(status: &Status) -> &'static str {
    match status {
        Status::Finished => "no samples",
        Status::Unfinished => "not finished",
        Status::Failed { .. } => "failed",
    }
}
