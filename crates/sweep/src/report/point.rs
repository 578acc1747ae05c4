//! Runs that differ in nothing but their seed, taken together.

use pfgmpp_kernel::Dimension;
use pfgmpp_metrics::SeedMean;

use super::{Row, Status, score};

/// A point of the sweep with its runs, one per seed.
pub(super) struct Point<'a> {
    /// D, if the runs have one.
    pub d: Option<Dimension>,
    /// The settings beside D and seed, as [`Row::variant`].
    pub variant: &'a str,
    /// What a reader is shown: D, the variant, or both, as needed to tell the point from others.
    pub label: String,
    /// By seed.
    pub rows: Vec<&'a Row>,
}

/// The rows as points: variants in the order of their first row, D ascending, then seeds.
pub(super) fn points<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<Point<'a>> {
    let mut points: Vec<Point<'a>> = Vec::new();
    for row in rows {
        let same = |point: &&mut Point<'_>| point.d == row.d && point.variant == variant(row);
        match points.iter_mut().find(same) {
            Some(point) => point.rows.push(row),
            None => {
                points.push(Point {
                    d: row.d,
                    variant: variant(row),
                    label: label(row),
                    rows: vec![row],
                });
            }
        }
    }
    let order = variants(&points);
    points.sort_by(|a, b| {
        let place = |point: &Point<'_>| order.iter().position(|name| *name == point.variant);
        let dimension = |point: &Point<'_>| point.d.map_or(0.0, Dimension::value);
        place(a)
            .cmp(&place(b))
            .then(dimension(a).total_cmp(&dimension(b)))
    });
    for point in &mut points {
        point.rows.sort_by_key(|row| row.seed);
    }
    if points.iter().all(|point| point.d.is_some()) && !along_d(&points) {
        // One D throughout says nothing.
        for point in &mut points {
            point.label = variant_label(point.variant).to_owned();
        }
    }
    points
}

/// Whether the points are read along D: all have one, and if they differ in anything, then in D.
pub(super) fn along_d(points: &[Point<'_>]) -> bool {
    let varies = points.windows(2).any(|pair| pair[0].d != pair[1].d);
    points.iter().all(|point| point.d.is_some()) && (varies || points.len() < 2)
}

/// The variants that occur, in the order of the points.
pub(super) fn variants<'a>(points: &[Point<'a>]) -> Vec<&'a str> {
    let mut variants = Vec::new();
    for point in points {
        if !variants.contains(&point.variant) {
            variants.push(point.variant);
        }
    }
    variants
}

/// All runs with their points, in the order of the points.
pub(super) fn runs<'p, 'a>(
    points: &'p [Point<'a>],
) -> impl Iterator<Item = (&'p Point<'a>, &'a Row)> {
    points
        .iter()
        .flat_map(|point| point.rows.iter().map(move |row| (point, *row)))
}

/// Without D and variant only its name tells a run from others.
fn variant(row: &Row) -> &str {
    if row.d.is_none() && row.variant.is_empty() {
        &row.name
    } else {
        &row.variant
    }
}

fn label(row: &Row) -> String {
    match row.d {
        None => variant(row).to_owned(),
        Some(d) if row.variant.is_empty() => format!("D = {}", dimension_label(d)),
        Some(d) => format!("D = {}, {}", dimension_label(d), row.variant),
    }
}

/// D as a reader expects it: `128`, `0.5`, `∞`.
pub(super) fn dimension_label(d: Dimension) -> String {
    if d.is_infinite() {
        "∞".to_owned()
    } else {
        d.to_string()
    }
}

/// A variant's name in a legend.
pub(super) fn variant_label(variant: &str) -> &str {
    if variant.is_empty() { "base" } else { variant }
}

impl Point<'_> {
    /// The finite values of the metric in finished runs, with their seeds.
    pub fn values(&self, key: &str) -> Vec<(u64, f64)> {
        let finished = self
            .rows
            .iter()
            .filter(|row| row.status == Status::Finished);
        let values = finished.filter_map(|row| Some((row.seed, score(&row.scores, key)?)));
        values.filter(|(_, value)| value.is_finite()).collect()
    }

    /// The mean over [`values`](Self::values), if there are any.
    pub fn mean(&self, key: &str) -> Option<SeedMean> {
        let values: Vec<f64> = self
            .values(key)
            .into_iter()
            .map(|(_, value)| value)
            .collect();
        SeedMean::of(&values)
    }
}
