//! The page as a whole.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use pfgmpp_metrics::Better;

use super::cards::cards;
use super::loss_plot::loss_plot;
use super::metric_plot::metric_plot;
use super::paths::paths;
use super::point::{Point, along_d, points, runs};
use super::summary::{failures, tiles};
use super::table::tables;
use super::{Metric, Reference, Report};

const STYLE: &str = include_str!("style.css");

/// Renders the report as one HTML page that needs no other file, no network and no script.
///
/// Rows may be empty, failed or unfinished, and values may be anything: what cannot be plotted is
/// listed.
pub fn render(report: &Report) -> String {
    let groups = Group::of(report);
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
                        (failures(&report.rows))
                        @for group in &groups {
                            @if groups.len() > 1 { h2.data { (group.data) } }
                            (group.markup(report))
                        }
                    }
                    (meanings(report))
                    (settings(&report.settings))
                    footer { "Written by pfgmpp " (env!("CARGO_PKG_VERSION")) "." }
                }
            }
        }
    };
    page.into_string()
}

/// The runs and references of one data set.
struct Group<'a> {
    data: &'a str,
    points: Vec<Point<'a>>,
    references: Vec<Reference>,
    /// Place among the groups, which tells its drawings from those of others.
    index: usize,
}

impl<'a> Group<'a> {
    fn of(report: &'a Report) -> Vec<Self> {
        let mut names: Vec<&str> = Vec::new();
        for row in &report.rows {
            if !names.contains(&row.data.as_str()) {
                names.push(&row.data);
            }
        }
        let group = |(index, data): (usize, &'a str)| {
            let rows = report.rows.iter().filter(|row| row.data == data);
            let references = report.references.iter().filter(|r| r.data == data);
            Self {
                data,
                points: points(rows),
                references: references.cloned().collect(),
                index,
            }
        };
        names.into_iter().enumerate().map(group).collect()
    }

    fn markup(&self, report: &Report) -> Markup {
        let (points, metrics) = (&self.points, &report.metrics);
        html! {
            (tiles(points, metrics, &self.references))
            (self.plots(metrics))
            (cards(points, metrics))
            (paths(points))
            section {
                h2 { "Results" }
                (tables(points, metrics, &self.references))
            }
        }
    }

    fn plots(&self, metrics: &[Metric]) -> Markup {
        let points = &self.points;
        let first = self.index * (metrics.len() + 1);
        let compared = metrics.iter().filter(|metric| metric.better().is_some());
        let trained = runs(points).any(|(_, row)| !row.loss_curve.is_empty());
        html! {
            section {
                h2 { @if along_d(points) { "Scores against D" } @else { "Scores" } }
                div.plots {
                    @for (index, metric) in compared.enumerate() {
                        (metric_plot(points, metric, &self.references, first + index))
                    }
                    @if trained { (loss_plot(points, first + metrics.len())) }
                }
            }
        }
    }
}

/// What the numbers mean, for a reader who is new to them.
fn meanings(report: &Report) -> Markup {
    let metrics = report
        .metrics
        .iter()
        .map(|metric| (&metric.label, &metric.meaning));
    let references = report
        .references
        .iter()
        .map(|reference| (&reference.name, &reference.meaning));
    let mut explained: Vec<_> = metrics
        .chain(references)
        .filter(|(_, meaning)| !meaning.is_empty())
        .collect();
    // The references of several data sets mean the same.
    let mut named: Vec<&String> = Vec::new();
    explained.retain(|(name, _)| {
        let new = !named.contains(name);
        named.push(name);
        new
    });
    html! {
        section {
            h2 { "What the numbers mean" }
            p {
                (sense(&report.metrics))
                @if !report.references.is_empty() {
                    " Read it against the reference rows, which give the numbers a scale."
                }
            }
            @if report.rows.iter().any(|row| row.d.is_some()) {
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

/// Which way the scores are better.
fn sense(metrics: &[Metric]) -> String {
    let compared = || metrics.iter().filter(|metric| metric.better().is_some());
    if compared().all(|metric| metric.better() == Some(Better::Lower)) {
        return "Each score is a distance between a run's samples and the held-out data: lower is better, and 0 \
                would be perfect."
            .to_owned();
    }
    let each = compared()
        .filter_map(|metric| Some(format!("{}: {}", metric.label, metric.better()?.in_words())));
    let each: Vec<_> = each.collect();
    format!(
        "Each score compares a run's samples with the data. {}.",
        each.join("; ")
    )
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
