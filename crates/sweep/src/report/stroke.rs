//! How the curves of many points are told apart, and the legend that says so.

use maud::{Markup, html};

use super::point::{Point, along_d, dimension_label, variant_label, variants};

/// Colours of the style sheet's ramp.
const RAMP: usize = 10;

/// Strokes that tell variants apart, solid first.
const DASHES: [&str; 4] = ["none", "7 3", "2 3", "7 3 2 3"];

/// A point's colour and dashes.
pub(super) struct Stroke {
    /// A place on the ramp.
    colour: usize,
    dashes: &'static str,
}

impl Stroke {
    pub fn css(&self) -> String {
        let Self { colour, dashes } = self;
        format!("--k:var(--r{colour});stroke-dasharray:{dashes}")
    }
}

/// A stroke for each point: along D colours stand for D and dashes for variants, else each point
/// has a colour of its own.
pub(super) fn strokes(points: &[Point<'_>]) -> Vec<Stroke> {
    let by_d = along_d(points);
    let rank = |(index, point): (usize, &Point<'_>)| match point.d {
        Some(d) if by_d => d.value(),
        _ => index as f64,
    };
    let mut ranks: Vec<f64> = points.iter().enumerate().map(rank).collect();
    ranks.sort_by(f64::total_cmp);
    ranks.dedup();
    let variants = variants(points);
    let stroke = |(index, point)| {
        let own = rank((index, point));
        let place = ranks.partition_point(|other| *other < own);
        let variant = variants.iter().position(|name| *name == point.variant);
        let variant = variant.filter(|_| by_d).unwrap_or(0);
        Stroke {
            colour: place * (RAMP - 1) / (ranks.len() - 1).max(1),
            dashes: DASHES[variant % DASHES.len()],
        }
    };
    points.iter().enumerate().map(stroke).collect()
}

/// Style and name of each kind of stroke: D by colour and, where there are several, variants by dashes; else each point
/// for itself.
///
/// `drawn` holds the indices of the points that have a curve.
pub(super) fn entries(
    points: &[Point<'_>],
    strokes: &[Stroke],
    drawn: &[usize],
) -> Vec<(String, String)> {
    let folded = along_d(points) && variants(points).len() > 1;
    let mut entries: Vec<(String, String)> = Vec::new();
    let mut add = |style: String, label: String| {
        if entries.iter().all(|(_, known)| *known != label) {
            entries.push((style, label));
        }
    };
    for &index in drawn {
        let label = match points[index].d {
            Some(d) if folded => format!("D = {}", dimension_label(d)),
            _ => points[index].label.clone(),
        };
        add(format!("--k:var(--r{})", strokes[index].colour), label);
    }
    for &index in drawn.iter().filter(|_| folded) {
        let style = format!("--k:var(--soft);stroke-dasharray:{}", strokes[index].dashes);
        add(style, variant_label(points[index].variant).to_owned());
    }
    entries
}

/// The strokes with their names.
pub(super) fn legend(entries: &[(String, String)]) -> Markup {
    html! {
        ul.legend {
            @for (style, label) in entries {
                li {
                    svg viewBox="0 0 22 8" aria-hidden="true" {
                        path.loss style=(style) d="M0 4H22" {}
                    }
                    (label)
                }
            }
        }
    }
}
