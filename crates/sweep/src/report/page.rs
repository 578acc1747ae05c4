//! The page as a whole.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::cards::cards;
use super::loss_plot::loss_plot;
use super::metric_plot::metric_plot;
use super::paths::paths;
use super::point::{Point, along_d, points};
use super::summary::{failures, tiles};
use super::table::tables;
use super::{MetricKind, Report};

const STYLE: &str = include_str!("style.css");

/// Renders the report as one HTML page that needs no other file, no network and no script.
///
/// Rows may be empty, failed or unfinished, and values may be anything: what cannot be plotted is
/// listed.
pub fn render(report: &Report) -> String {
    let points = points(&report.rows);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (report.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    header {
                        h1 { (report.title) }
                        @if !report.description.is_empty() { p.lead { (report.description) } }
                    }
                    @if report.rows.is_empty() {
                        p.empty { "No runs yet." }
                    } @else {
                        (tiles(&points, &report.metrics, &report.references))
                        (failures(&report.rows))
                        (plots(report, &points))
                        (cards(&points, &report.metrics))
                        (paths(&points))
                        section {
                            h2 { "Results" }
                            (tables(&points, &report.metrics, &report.references))
                        }
                    }
                    (meanings(report, &points))
                    (settings(&report.settings))
                    footer { "Written by pfgmpp " (env!("CARGO_PKG_VERSION")) "." }
                }
            }
        }
    };
    page.into_string()
}

fn plots(report: &Report, points: &[Point<'_>]) -> Markup {
    let distances = report
        .metrics
        .iter()
        .filter(|metric| metric.kind == MetricKind::Distance);
    html! {
        section {
            h2 { @if along_d(points) { "Scores against D" } @else { "Scores" } }
            div.plots {
                @for (index, metric) in distances.enumerate() {
                    (metric_plot(points, metric, &report.references, index))
                }
                @if report.rows.iter().any(|row| !row.loss_curve.is_empty()) {
                    (loss_plot(points, report.metrics.len()))
                }
            }
        }
    }
}

/// What the numbers mean, for a reader who is new to them.
fn meanings(report: &Report, points: &[Point<'_>]) -> Markup {
    let metrics = report
        .metrics
        .iter()
        .map(|metric| (&metric.label, &metric.meaning));
    let references = report
        .references
        .iter()
        .map(|reference| (&reference.name, &reference.meaning));
    let explained: Vec<_> = metrics
        .chain(references)
        .filter(|(_, meaning)| !meaning.is_empty())
        .collect();
    html! {
        section {
            h2 { "What the numbers mean" }
            p {
                "Each score is a distance between a run's samples and the held-out data: "
                "lower is better, and 0 would be perfect."
                @if !report.references.is_empty() {
                    " Read it against the reference rows, which give the numbers a scale."
                }
            }
            @if points.iter().any(|point| point.d.is_some()) {
                p {
                    "D is the number of dimensions that PFGM++ adds to those of the data: D = 1 is "
                    "the Poisson flow PFGM, D = ∞ is diffusion, and any D between trades the one "
                    "for the other."
                }
            }
            dl.meanings {
                @for (name, meaning) in explained { dt { (name) } dd { (meaning) } }
            }
        }
    }
}

fn settings(settings: &[(String, String)]) -> Markup {
    html! {
        @if !settings.is_empty() {
            section {
                h2 { "What was run" }
                dl.settings {
                    @for (name, value) in settings { div { dt { (name) } dd { (value) } } }
                }
            }
        }
    }
}
