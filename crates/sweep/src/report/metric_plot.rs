//! A metric against D: a dot per seed, a line through the means, the references as horizontal
//! lines.

use maud::{Markup, html};
use pfgmpp_metrics::Better;

use super::dimension_axis::PointAxis;
use super::frame::{Frame, drawing, place, polyline};
use super::number::significant;
use super::point::{Point, best, variant_label, variants};
use super::scale::Scale;
use super::{Metric, Reference, score};

/// Labels of references stand at least this far from each other.
const LABEL_HEIGHT: f64 = 14.0;

/// The figure for one metric; `index` tells its ids from those of other figures.
pub(super) fn metric_plot(
    points: &[Point<'_>],
    metric: &Metric,
    references: &[Reference],
    index: usize,
) -> Markup {
    let values: Vec<f64> = points
        .iter()
        .flat_map(|point| point.values(&metric.key))
        .map(|(_, value)| value)
        .collect();
    let references = known(references, metric);
    let reference_values: Vec<f64> = references.iter().map(|(_, value)| *value).collect();
    let Some(scale) = Scale::choose(&values, &reference_values) else {
        return html! {
            figure.plot {
                figcaption { strong { (metric.label) } }
                p.empty { "No finished run has a finite value." }
            }
        };
    };
    let plot = Plot {
        points,
        metric,
        scale,
        axis: PointAxis::of(points),
    };
    let (shown, hidden): (Vec<_>, Vec<_>) = references
        .into_iter()
        .partition(|(_, value)| scale.at(*value).is_some());
    html! {
        figure.plot {
            figcaption {
                strong { (metric.label) }
                span.soft {
                    (metric.better().map(Better::in_words).unwrap_or_default())
                    @if scale.is_logarithmic() { ", logarithmic" }
                }
            }
            (plot.drawing(&shown, index))
            (plot.legend())
            (off_the_axis(&hidden))
        }
    }
}

/// The references that have a finite value of the metric.
fn known<'a>(references: &'a [Reference], metric: &Metric) -> Vec<(&'a Reference, f64)> {
    let known = references.iter().filter_map(|reference| {
        let value = score(&reference.scores, &metric.key)?;
        value.is_finite().then_some((reference, value))
    });
    known.collect()
}

fn off_the_axis(references: &[(&Reference, f64)]) -> Markup {
    let named = |(reference, value): &(&Reference, f64)| {
        format!("{} {}", reference.name, significant(*value))
    };
    let named: Vec<String> = references.iter().map(named).collect();
    html! {
        @if !named.is_empty() { p.note { "Off the axis: " (named.join(", ")) "." } }
    }
}

struct Plot<'p, 'a> {
    points: &'p [Point<'a>],
    metric: &'p Metric,
    scale: Scale,
    axis: PointAxis,
}

impl Plot<'_, '_> {
    fn frame(&self) -> Frame {
        Frame::new(matches!(self.axis, PointAxis::Names(_)))
    }

    fn drawing(&self, references: &[(&Reference, f64)], index: usize) -> Markup {
        let title = format!("{} of each point of the sweep", self.metric.label);
        let content = html! {
            (self.frame().grid(&self.scale))
            (self.bottom_axis())
            (self.reference_lines(references))
            @for (series, line) in self.axis.lines(self.points).iter().enumerate() {
                g style=(format!("--k:var(--s{})", self.colour(series))) { (self.series(line)) }
            }
            (self.best_mark())
            (self.reference_labels(references))
        };
        drawing(index, &title, &self.description(), &content)
    }

    fn bottom_axis(&self) -> Markup {
        let ticks = self.axis.ticks(self.points);
        match self.axis {
            PointAxis::Names(_) => self.frame().name_axis(&ticks),
            PointAxis::Dimensions { .. } => {
                let (caption, gap) = (self.axis.caption(), self.axis.break_at());
                self.frame().bottom_axis(&ticks, caption, gap)
            }
        }
    }

    /// One colour for each variant; names need none beside their place.
    fn colour(&self, series: usize) -> usize {
        if matches!(self.axis, PointAxis::Names(_)) {
            0
        } else {
            series % 6
        }
    }

    fn place(&self, point: &Point<'_>, value: f64) -> Option<(f64, f64)> {
        let frame = self.frame();
        Some((frame.x(self.axis.at(point)), frame.y(self.scale.at(value)?)))
    }

    /// The line through the means, dashed on its way to ∞, and a dot for each seed.
    fn series(&self, line: &[&Point<'_>]) -> Markup {
        let means = line.iter().filter_map(|point| {
            let mean = point.mean(&self.metric.key)?;
            Some((point.d, self.place(point, mean.value)?))
        });
        let means: Vec<_> = means.collect();
        let infinite = |d: Option<pfgmpp_kernel::Dimension>| d.is_some_and(|d| d.is_infinite());
        let finite: Vec<(f64, f64)> = means
            .iter()
            .filter(|(d, _)| !infinite(*d))
            .map(|(_, place)| *place)
            .collect();
        let last = means
            .iter()
            .find(|(d, _)| infinite(*d))
            .map(|(_, place)| *place);
        html! {
            polyline.mean points=(polyline(&finite)) {}
            @if let (Some(from), Some(to)) = (finite.last(), last) {
                polyline.mean.leap points=(polyline(&[*from, to])) {}
            }
            @for point in line {
                @for (seed, value) in point.values(&self.metric.key) {
                    @if let Some((x, y)) = self.place(point, value) {
                        circle.seed cx=(place(x)) cy=(place(y)) r="3.6" {
                            title { (point.label) ", seed " (seed) ": " (significant(value)) }
                        }
                    }
                }
            }
        }
    }

    /// A ring around the best mean.
    fn best_mark(&self) -> Markup {
        let found = best(self.points, self.metric).filter(|_| self.points.len() > 1);
        let placed = found.and_then(|(point, mean)| self.place(point, mean.value));
        html! {
            @if let Some((x, y)) = placed {
                circle.best cx=(place(x)) cy=(place(y)) r="8" {}
                @let below = place(self.label_height_near(y));
                text.best x=(place(x)) y=(below) text-anchor="middle" { "best" }
            }
        }
    }

    /// Below the mark, or above it where the axis is near.
    fn label_height_near(&self, y: f64) -> f64 {
        if y + 26.0 < self.frame().y(0.0) {
            y + 21.0
        } else {
            y - 13.0
        }
    }

    fn reference_lines(&self, references: &[(&Reference, f64)]) -> Markup {
        let frame = self.frame();
        html! {
            @for (reference, value) in references {
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
    fn reference_labels(&self, references: &[(&Reference, f64)]) -> Markup {
        let frame = self.frame();
        let mut lines: Vec<(&str, f64)> = Vec::new();
        for (reference, value) in references {
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

    /// What a reader who does not see the plot needs to know.
    fn description(&self) -> String {
        let means = self.points.iter().filter_map(|point| {
            let mean = point.mean(&self.metric.key)?;
            Some(format!("{}: {}", point.label, significant(mean.value)))
        });
        let means: Vec<String> = means.collect();
        format!("Mean over seeds. {}.", means.join("; "))
    }

    /// Names of the variants, where there are several.
    fn legend(&self) -> Markup {
        let variants = variants(self.points);
        html! {
            @if variants.len() > 1 && matches!(self.axis, PointAxis::Dimensions { .. }) {
                ul.legend {
                    @for (series, variant) in variants.iter().enumerate() {
                        li style=(format!("--k:var(--s{})", self.colour(series))) {
                            (variant_label(variant))
                        }
                    }
                }
            }
        }
    }
}
