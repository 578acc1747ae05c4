//! The results as tables: one row per point (means over seeds), or one per run; references beneath.

use maud::{Markup, html};
use pfgmpp_metrics::{Better, SeedMean};

use super::judgement::Judgement;
use super::number::{align_points, deviation, significant};
use super::point::{Point, runs};
use super::{Metric, Reference, Row, Status, score};

/// All results: means first where points have several runs, the runs then folded away beneath.
pub(super) fn tables(
    points: &[Point<'_>],
    metrics: &[Metric],
    references: &[Reference],
    judgements: &[Judgement],
) -> Markup {
    let repeated = points.iter().any(|point| point.rows.len() > 1);
    html! {
        @if repeated {
            (of_points(points, metrics, references, judgements).markup())
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
    /// The interval beside each value, where the table shows means.
    intervals: Option<Vec<String>>,
    /// The rows that are best beyond chance.
    winners: Vec<usize>,
    /// What such a one is called.
    superlative: String,
}

fn of_points<'a>(
    points: &[Point<'_>],
    metrics: &'a [Metric],
    references: &'a [Reference],
    judgements: &[Judgement],
) -> Table<'a> {
    let columns = metrics.iter().map(|metric| {
        let means: Vec<_> = points.iter().map(|point| point.mean(&metric.key)).collect();
        let judged = judgements.iter().filter(|found| found.metric == metric.key);
        let winners = judged.filter_map(Judgement::winner).collect();
        Column {
            winners,
            ..Column::of_means(metric, &means, references)
        }
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
        caption: "Means over seeds, with their 95 % intervals.",
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
        caption: "One row per run.",
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

    fn of_means(metric: &'a Metric, means: &[Option<SeedMean>], references: &[Reference]) -> Self {
        let values: Vec<_> = means
            .iter()
            .map(|mean| mean.map(|mean| mean.mean))
            .collect();
        let mut column = Self::unaligned(metric, &values, references);
        let intervals = means.iter().zip(&column.values).map(|(mean, text)| {
            let known = mean.and_then(|mean| mean.interval);
            known.map_or(String::new(), |ends| interval(ends, text))
        });
        let intervals: Vec<_> = intervals.collect();
        align_points(&mut column.values);
        // Of a figure the scatter is of no interest.
        column.intervals = metric.better().map(|_| intervals);
        column
    }

    fn unaligned(metric: &'a Metric, values: &[Option<f64>], references: &[Reference]) -> Self {
        let below = references
            .iter()
            .map(|reference| score(&reference.scores, &metric.key));
        let all = values.iter().copied().chain(below);
        let superlative = metric.better().map(Better::superlative);
        Self {
            label: &metric.label,
            values: all
                .map(|value| value.map_or(String::new(), significant))
                .collect(),
            intervals: None,
            winners: Vec::new(),
            superlative: format!("{} beyond chance", superlative.unwrap_or_default()),
        }
    }

    fn cells(&self, row: usize) -> Markup {
        let value = &self.values[row];
        let best = self.winners.contains(&row);
        let interval = self.intervals.as_ref();
        let interval = interval.map(|texts| texts.get(row).cloned().unwrap_or_default());
        html! {
            td.number.best[best] {
                @if best { strong title=(self.superlative) { (value) } } @else { (value) }
            }
            @if let Some(text) = interval { td.deviation { (text) } }
        }
    }
}

/// `[0.0041, 0.0053]`, with the decimals of the mean that it belongs to.
pub(super) fn interval([low, high]: [f64; 2], mean: &str) -> String {
    format!("[{}, {}]", deviation(low, mean), deviation(high, mean))
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
                    @if column.intervals.is_some() { td {} }
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
