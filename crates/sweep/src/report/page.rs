//! The page as a whole.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use pfgmpp_metrics::Better;

use super::cards::cards;
use super::comparisons::comparisons;
use super::configurations::configurations;
use super::dimension_axis::PointAxis;
use super::evaluations::Settings;
use super::judgement::{Judgement, judge};
use super::loss_plot::loss_plot;
use super::metric_plot::MetricPlot;
use super::paths::paths;
use super::point::{Point, along_d, points, runs};
use super::summary::{failures, tiles, verdict};
use super::table::tables;
use super::{DataSet, Metric, Reference, Report};

/// Indices of figures from which on they are of models sampled otherwise, for each data set.
const EVALUATIONS: usize = 10_000;

pub(super) const STYLE: &str = include_str!("style.css");

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
                title { (title(report)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    header {
                        h1 { (title(report)) }
                        @if !report.description.is_empty() { p.lead { (report.description) } }
                        @for data in &report.data { p.lead.data { "Data: " (data.found) "." } }
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
                    (configurations(&report.configurations))
                    footer { "Written by pfgmpp " (env!("CARGO_PKG_VERSION")) "." }
                }
            }
        }
    };
    page.into_string()
}

/// The sweep's name and the data that were used, whatever its file is called.
fn title(report: &Report) -> String {
    let names: Vec<&str> = report.data.iter().map(|data| data.name.as_str()).collect();
    match names.as_slice() {
        [] => report.title.clone(),
        [first @ .., last] if !first.is_empty() => {
            format!("{} on {} and {last}", report.title, first.join(", "))
        }
        names => format!("{} on {}", report.title, names[0]),
    }
}

/// The runs and references of one data set.
pub(super) struct Group<'a> {
    pub data: &'a str,
    pub points: Vec<Point<'a>>,
    pub references: Vec<Reference>,
    pub judgements: Vec<Judgement>,
    /// N, where it is known.
    n: Option<usize>,
    /// Place among the groups, which tells its drawings from those of others.
    index: usize,
}

impl<'a> Group<'a> {
    /// One for each data set, in the order of the rows.
    pub fn of(report: &'a Report) -> Vec<Self> {
        let mut names: Vec<&str> = Vec::new();
        for row in &report.rows {
            if !names.contains(&row.data.as_str()) {
                names.push(&row.data);
            }
        }
        let group = |(index, data): (usize, &'a str)| {
            let rows = report.rows.iter().filter(|row| row.data == data);
            let references: Vec<&Reference> = report
                .references
                .iter()
                .filter(|r| r.data == data)
                .collect();
            let points = points(rows);
            let known = |known: &&DataSet| known.name == data;
            Self {
                data,
                judgements: judge(data, &points, &report.metrics, &references),
                points,
                references: references.into_iter().cloned().collect(),
                n: report.data.iter().find(known).map(|data| data.n),
                index,
            }
        };
        names.into_iter().enumerate().map(group).collect()
    }

    fn markup(&self, report: &Report) -> Markup {
        let (points, metrics) = (&self.points, &report.metrics);
        html! {
            (verdict(&self.judgements))
            (tiles(points, metrics, &self.references, &self.judgements))
            (self.plots(metrics))
            @if let Some(settings) = Settings::of(points) {
                (settings.section(points, metrics, EVALUATIONS * (self.index + 1)))
            }
            (cards(points, metrics))
            (paths(points))
            section {
                h2 { "Results" }
                (tables(points, metrics, &self.references, &self.judgements))
                (comparisons(&self.judgements))
            }
        }
    }

    fn plots(&self, metrics: &[Metric]) -> Markup {
        let points = &self.points;
        let first = self.index * (2 * metrics.len() + 1);
        let trained = runs(points).any(|(_, row)| !row.loss_curve.is_empty());
        html! {
            section {
                h2 { @if along_d(points) { "Scores against D" } @else { "Scores" } }
                div.plots {
                    @for (index, (metric, axis)) in self.axes(metrics).into_iter().enumerate() {
                        (self.plot(metric, axis).figure(first + index))
                    }
                    @if trained { (loss_plot(points, first + 2 * metrics.len())) }
                }
            }
        }
    }

    /// The plots of scores: each metric against D, and, where N is known, against D/(N + D).
    pub fn axes<'m>(&self, metrics: &'m [Metric]) -> Vec<(&'m Metric, PointAxis)> {
        let compared = metrics.iter().filter(|metric| metric.better().is_some());
        let axes = compared.flat_map(|metric| {
            let by_d = std::iter::once((metric, PointAxis::of(&self.points)));
            let by_weight = self.n.and_then(|n| PointAxis::by_weight(&self.points, n));
            by_d.chain(by_weight.map(|axis| (metric, axis)))
        });
        axes.collect()
    }

    /// The plot of one metric.
    pub fn plot<'p>(&'p self, metric: &'p Metric, axis: PointAxis) -> MetricPlot<'p, 'a> {
        MetricPlot {
            points: &self.points,
            metric,
            references: &self.references,
            judgements: &self.judgements,
            axis,
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
                    "the Poisson flow PFGM, D = ∞ is diffusion, and a D in between trades one "
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
