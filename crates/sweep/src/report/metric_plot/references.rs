//! The references of a plot: horizontal lines with their names.

use maud::{Markup, html};

use super::Plot;
use crate::report::frame::place;
use crate::report::number::significant;
use crate::report::{Metric, Reference, score};

/// Labels of references stand at least this far from each other.
const LABEL_HEIGHT: f64 = 14.0;

/// The references that have a finite value of the metric.
pub(super) fn known<'a>(references: &'a [Reference], metric: &Metric) -> Vec<(&'a Reference, f64)> {
    let known = references.iter().filter_map(|reference| {
        let value = score(&reference.scores, &metric.key)?;
        value.is_finite().then_some((reference, value))
    });
    known.collect()
}

pub(super) fn off_the_axis(references: &[(&Reference, f64)]) -> Markup {
    let named = |(reference, value): &(&Reference, f64)| {
        format!("{} {}", reference.name, significant(*value))
    };
    let named: Vec<String> = references.iter().map(named).collect();
    html! {
        @if !named.is_empty() { p.note { "Off the axis: " (named.join(", ")) "." } }
    }
}

impl Plot<'_, '_> {
    pub(super) fn reference_lines(&self) -> Markup {
        let frame = self.frame();
        html! {
            @for (reference, value) in &self.references {
                @if let Some(at) = self.scale.at(*value) {
                    @let y = place(frame.y(at));
                    line.reference x1=(place(frame.x(0.0))) x2=(place(frame.x(1.0))) y1=(y) y2=(y) {
                        title { (reference.name) ": " (significant(*value)) }
                    }
                }
            }
        }
    }

    /// Each label stands over its line, on the side where the runs leave more room, and clear of
    /// the label before.
    pub(super) fn reference_labels(&self) -> Markup {
        let frame = self.frame();
        let mut lines: Vec<(&str, f64)> = Vec::new();
        for (reference, value) in &self.references {
            if let Some(at) = self.scale.at(*value) {
                lines.push((&reference.name, frame.y(at)));
            }
        }
        lines.sort_by(|a, b| b.1.total_cmp(&a.1));
        let mut ceiling = f64::INFINITY;
        let labels = lines.into_iter().map(|(name, line)| {
            let y = (line - 4.0).min(ceiling - LABEL_HEIGHT);
            ceiling = y;
            (name, y, self.right_is_freer(line))
        });
        let labels: Vec<_> = labels.collect();
        html! {
            @for (name, y, right) in labels {
                @if right {
                    text.reference x=(place(frame.x(1.0))) y=(place(y)) text-anchor="end" { (name) }
                } @else {
                    text.reference x=(place(frame.x(0.0) + 4.0)) y=(place(y)) { (name) }
                }
            }
        }
    }

    /// Whether the dots in the right half stay farther from a line at height `y` than those in the
    /// left half.
    fn right_is_freer(&self, y: f64) -> bool {
        let middle = self.frame().x(0.5);
        let dots = self.points.iter().flat_map(|point| {
            let values = point.values(&self.metric.key).into_iter();
            values.filter_map(|(_, value)| self.place(point, value))
        });
        let (mut left, mut right) = (f64::INFINITY, f64::INFINITY);
        for (x, dot) in dots {
            let side = if x < middle { &mut left } else { &mut right };
            *side = side.min((dot - (y - 6.0)).abs());
        }
        right >= left
    }
}
