//! A metric against D: a dot per seed, a line through the means with their intervals, the references as horizontal
//! lines, and a ring around what is best beyond chance.

mod references;

use maud::{Markup, html};
use pfgmpp_metrics::Better;

use super::dimension_axis::PointAxis;
use super::frame::{Frame, drawing, place, polyline};
use super::judgement::Judgement;
use super::number::significant;
use super::point::{Point, variant_label, variants};
use super::scale::Scale;
use super::{Metric, Reference};

use references::{known, off_the_axis};

/// What a figure of one metric shows.
pub(super) struct MetricPlot<'p, 'a> {
    pub points: &'p [Point<'a>],
    pub metric: &'p Metric,
    pub references: &'p [Reference],
    pub judgements: &'p [Judgement],
    pub axis: PointAxis,
}

impl MetricPlot<'_, '_> {
    /// The figure; `index` tells its ids from those of other figures.
    pub fn figure(&self, index: usize) -> Markup {
        let Some((plot, hidden)) = self.plot() else {
            return html! {
                figure.plot {
                    figcaption { strong { (self.metric.label) } }
                    p.empty { "No finished run has a finite value." }
                }
            };
        };
        html! {
            figure.plot {
                figcaption {
                    strong { (self.metric.label) }
                    span.soft {
                        (self.metric.better().map(Better::in_words).unwrap_or_default())
                        @if plot.scale.is_logarithmic() { ", logarithmic" }
                        @if plot.has_intervals() { "; bars: 95 % intervals" }
                    }
                }
                (plot.drawing(index))
                (plot.legend())
                (off_the_axis(&hidden))
            }
        }
    }

    /// The drawing alone with the names of its series; `None` if there is nothing to plot.
    pub fn alone(&self) -> Option<(Markup, Vec<(String, String)>)> {
        let (plot, _) = self.plot()?;
        Some((plot.drawing(0), plot.series_names()))
    }

    /// The plot, and the references that lie off its axis.
    fn plot(&self) -> Option<(Plot<'_, '_>, Vec<(&Reference, f64)>)> {
        let values: Vec<f64> = self
            .points
            .iter()
            .flat_map(|point| point.values(&self.metric.key))
            .map(|(_, value)| value)
            .collect();
        let references = known(self.references, self.metric);
        let means = self
            .points
            .iter()
            .filter_map(|point| point.mean(&self.metric.key));
        let ends = means.filter_map(|mean| mean.interval).flatten();
        // Intervals are shown as far as they leave the values room, as references are.
        let beside: Vec<f64> = references
            .iter()
            .map(|(_, value)| *value)
            .chain(ends)
            .collect();
        let scale = Scale::choose(&values, &beside)?;
        let (shown, hidden): (Vec<_>, Vec<_>) = references
            .into_iter()
            .partition(|(_, value)| scale.at(*value).is_some());
        let plot = Plot {
            points: self.points,
            metric: self.metric,
            judgements: self.judgements,
            references: shown,
            scale,
            axis: &self.axis,
        };
        Some((plot, hidden))
    }
}

struct Plot<'p, 'a> {
    points: &'p [Point<'a>],
    metric: &'p Metric,
    judgements: &'p [Judgement],
    references: Vec<(&'p Reference, f64)>,
    scale: Scale,
    axis: &'p PointAxis,
}

impl Plot<'_, '_> {
    fn frame(&self) -> Frame {
        Frame::new(matches!(self.axis, PointAxis::Names(_)))
    }

    fn drawing(&self, index: usize) -> Markup {
        let along = match self.axis {
            PointAxis::Names(_) => "of each point of the sweep",
            PointAxis::Dimensions { .. } => "against D",
            PointAxis::Weights { .. } => "against D/(N + D)",
        };
        let title = format!("{} {along}", self.metric.label);
        let content = html! {
            (self.frame().grid(&self.scale))
            (self.bottom_axis())
            (self.reference_lines())
            @for (series, line) in self.axis.lines(self.points).iter().enumerate() {
                g style=(format!("--k:var(--s{})", self.colour(series))) { (self.series(line)) }
            }
            (self.best_marks())
            (self.reference_labels())
        };
        drawing(index, &title, &self.description(), &content)
    }

    fn bottom_axis(&self) -> Markup {
        let ticks = self.axis.ticks(self.points);
        match self.axis {
            PointAxis::Names(_) => self.frame().name_axis(&ticks),
            PointAxis::Dimensions { .. } | PointAxis::Weights { .. } => {
                let (caption, gap) = (self.axis.caption(), self.axis.break_at());
                self.frame().bottom_axis(&ticks, &caption, gap)
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
            Some((point.d, self.place(point, mean.mean)?))
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
                (self.interval(point))
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

    /// The 95 % interval of a point's mean, as far as the axis reaches.
    fn interval(&self, point: &Point<'_>) -> Markup {
        let interval = point.mean(&self.metric.key).and_then(|mean| mean.interval);
        let Some([low, high]) = interval else {
            return html! {};
        };
        let (frame, x) = (self.frame(), place(self.frame().x(self.axis.at(point))));
        let end = |value: f64, beyond: f64| place(frame.y(self.scale.at(value).unwrap_or(beyond)));
        html! {
            line.interval x1=(x) x2=(x) y1=(end(low, 0.0)) y2=(end(high, 1.0)) {
                title {
                    (point.label) ": 95 % interval of the mean " (significant(low)) " to " (significant(high))
                }
            }
        }
    }

    fn has_intervals(&self) -> bool {
        let mut means = self
            .points
            .iter()
            .filter_map(|point| point.mean(&self.metric.key));
        means.any(|mean| mean.interval.is_some())
    }

    /// A ring around the mean of each point that is best beyond chance.
    fn best_marks(&self) -> Markup {
        let judged = self
            .judgements
            .iter()
            .filter(|found| found.metric == self.metric.key);
        let winners = judged.filter_map(Judgement::winner);
        let placed = winners.filter_map(|index| {
            let point = &self.points[index];
            self.place(point, point.mean(&self.metric.key)?.mean)
        });
        html! {
            @for (x, y) in placed {
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

    /// What a reader who does not see the plot needs to know.
    fn description(&self) -> String {
        let means = self.points.iter().filter_map(|point| {
            let mean = point.mean(&self.metric.key)?;
            let interval = mean.interval.map(|[low, high]| {
                format!(
                    ", 95 % interval {} to {}",
                    significant(low),
                    significant(high)
                )
            });
            let interval = interval.unwrap_or_default();
            Some(format!(
                "{}: {}{interval}",
                point.label,
                significant(mean.mean)
            ))
        });
        let means: Vec<String> = means.collect();
        format!("Mean over seeds. {}.", means.join("; "))
    }

    /// Names of the variants, where there are several.
    fn legend(&self) -> Markup {
        html! {
            @if !self.series_names().is_empty() {
                ul.legend {
                    @for (style, name) in self.series_names() { li style=(style) { (name) } }
                }
            }
        }
    }

    /// Style and name of each variant, if there are several.
    fn series_names(&self) -> Vec<(String, String)> {
        let variants = variants(self.points);
        if variants.len() < 2 || matches!(self.axis, PointAxis::Names(_)) {
            return Vec::new();
        }
        let named = variants.iter().enumerate().map(|(series, variant)| {
            let style = format!("--k:var(--s{})", self.colour(series));
            (style, variant_label(variant).to_owned())
        });
        named.collect()
    }
}
