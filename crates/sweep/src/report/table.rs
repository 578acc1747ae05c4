//! The results as tables: one row per point (means over seeds), or one per run; references beneath.

use maud::{Markup, html};
use pfgmpp_metrics::Better;

use super::number::{align_points, deviation, significant};
use super::point::{Mean, Point, runs};
use super::{Metric, Reference, Row, Status, score};

/// All results: means first where points have several runs, the runs then folded away beneath.
pub(super) fn tables(points: &[Point<'_>], metrics: &[Metric], references: &[Reference]) -> Markup {
    let repeated = points.iter().any(|point| point.rows.len() > 1);
    html! {
        @if repeated {
            (of_points(points, metrics, references).markup())
            details {
                summary { "All " (runs(points).count()) " runs" }
                (of_runs(points, metrics, &[]).markup())
            }
        } @else {
            (of_runs(points, metrics, references).markup())
        }
    }
}

/// A table of points or runs with one column per metric.
struct Table<'a> {
    caption: &'static str,
    /// Headings of the two columns before the metrics.
    corner: [&'static str; 2],
    /// The two cells before the metrics, one entry per row.
    heads: Vec<Markup>,
    columns: Vec<Column<'a>>,
    /// A last cell per row, if the table has one.
    statuses: Option<Vec<Markup>>,
    references: &'a [Reference],
}

/// A metric's values, aligned.
struct Column<'a> {
    label: &'a str,
    /// One text per row, references last; empty where there is no value.
    values: Vec<String>,
    /// The standard deviation beside each value, where the table shows means.
    deviations: Option<Vec<String>>,
    /// The row with the best value.
    best: Option<usize>,
    /// What that one is called.
    superlative: String,
}

fn of_points<'a>(
    points: &[Point<'_>],
    metrics: &'a [Metric],
    references: &'a [Reference],
) -> Table<'a> {
    let columns = metrics.iter().map(|metric| {
        let means: Vec<_> = points.iter().map(|point| point.mean(&metric.key)).collect();
        Column::of_means(metric, &means, references)
    });
    let heads = points.iter().map(|point| {
        let all = point.rows.len();
        let finished = |row: &&&Row| row.status == Status::Finished;
        let finished = point.rows.iter().filter(finished).count();
        html! {
            th scope="row" { (point.label) }
            td.number { @if finished < all { (finished) " of " } (all) }
        }
    });
    Table {
        caption: "Means over seeds, with the standard deviation between seeds.",
        corner: ["Point", "Seeds"],
        heads: heads.collect(),
        columns: columns.collect(),
        statuses: None,
        references,
    }
}

fn of_runs<'a>(
    points: &[Point<'_>],
    metrics: &'a [Metric],
    references: &'a [Reference],
) -> Table<'a> {
    let rows = || runs(points);
    let columns = metrics.iter().map(|metric| {
        // A distance of a run that did not finish is none to compare.
        let counts = |row: &Row| metric.better().is_none() || row.status == Status::Finished;
        let values: Vec<_> = rows()
            .map(|(_, row)| score(&row.scores, &metric.key).filter(|_| counts(row)))
            .collect();
        Column::of_values(metric, &values, references)
    });
    let heads = rows().map(|(point, row)| {
        html! {
            th scope="row" title=(row.name) { (point.label) }
            td.number { (row.seed) }
        }
    });
    Table {
        caption: "One row a run.",
        corner: ["Run", "Seed"],
        heads: heads.collect(),
        columns: columns.collect(),
        statuses: Some(rows().map(|(_, row)| status(&row.status)).collect()),
        references,
    }
}

impl<'a> Column<'a> {
    fn of_values(metric: &'a Metric, values: &[Option<f64>], references: &[Reference]) -> Self {
        let mut column = Self::unaligned(metric, values, references);
        align_points(&mut column.values);
        column
    }

    fn of_means(metric: &'a Metric, means: &[Option<Mean>], references: &[Reference]) -> Self {
        let values: Vec<_> = means
            .iter()
            .map(|mean| mean.map(|mean| mean.value))
            .collect();
        let mut column = Self::unaligned(metric, &values, references);
        let deviations = means.iter().zip(&column.values).map(|(mean, text)| {
            let known = mean.and_then(|mean| mean.deviation);
            known.map_or(String::new(), |known| deviation(known, text))
        });
        let mut deviations: Vec<_> = deviations.collect();
        align_points(&mut deviations);
        align_points(&mut column.values);
        // Of a figure the scatter is of no interest.
        column.deviations = metric.better().map(|_| deviations);
        column
    }

    fn unaligned(metric: &'a Metric, values: &[Option<f64>], references: &[Reference]) -> Self {
        let below = references
            .iter()
            .map(|reference| score(&reference.scores, &metric.key));
        let all = values.iter().copied().chain(below);
        let finite = values.iter().enumerate().filter_map(|(row, value)| {
            let value = (*value)?;
            value.is_finite().then_some((row, value))
        });
        let better = metric.better().filter(|_| values.len() > 1);
        let best = better
            .and_then(|better| finite.min_by(|a, b| better.rank(a.1).total_cmp(&better.rank(b.1))));
        Self {
            label: &metric.label,
            values: all
                .map(|value| value.map_or(String::new(), significant))
                .collect(),
            deviations: None,
            best: best.map(|(row, _)| row),
            superlative: better.map(Better::superlative).unwrap_or_default(),
        }
    }

    fn cells(&self, row: usize) -> Markup {
        let value = &self.values[row];
        let best = self.best == Some(row);
        let deviation = self.deviations.as_ref().map(|texts| {
            let known = texts.get(row).filter(|text| !text.is_empty());
            known.map_or(String::new(), |text| format!("± {text}"))
        });
        html! {
            td.number.best[best] {
                @if best { strong title=(self.superlative) { (value) } } @else { (value) }
            }
            @if let Some(text) = deviation { td.deviation { (text) } }
        }
    }
}

impl Table<'_> {
    fn markup(&self) -> Markup {
        html! {
            div.wide tabindex="0" role="region" aria-label=(self.caption) {
                table {
                    caption { span { (self.caption) } }
                    thead { (self.headings()) }
                    tbody {
                        @for (row, head) in self.heads.iter().enumerate() {
                            tr {
                                (head)
                                @for column in &self.columns { (column.cells(row)) }
                                @if let Some(statuses) = &self.statuses {
                                    td.status { (statuses[row]) }
                                }
                            }
                        }
                    }
                    @if !self.references.is_empty() { (self.reference_rows()) }
                }
            }
        }
    }

    fn headings(&self) -> Markup {
        html! {
            tr {
                th scope="col" { (self.corner[0]) }
                th.number scope="col" { (self.corner[1]) }
                @for column in &self.columns {
                    th.number scope="col" { (column.label) }
                    @if column.deviations.is_some() { td {} }
                }
                @if self.statuses.is_some() { th scope="col" { "Status" } }
            }
        }
    }

    fn reference_rows(&self) -> Markup {
        html! {
            tbody.references {
                @for (index, reference) in self.references.iter().enumerate() {
                    tr {
                        th scope="row" title=(reference.meaning) { (reference.name) }
                        td {}
                        @for column in &self.columns { (column.cells(self.heads.len() + index)) }
                        @if self.statuses.is_some() { td {} }
                    }
                }
            }
        }
    }
}

fn status(status: &Status) -> Markup {
    match status {
        Status::Finished => html! { "finished" },
        Status::Unfinished => html! { span.soft { "not finished" } },
        Status::Failed { reason } => html! { span.failed { "failed: " (reason) } },
    }
}
