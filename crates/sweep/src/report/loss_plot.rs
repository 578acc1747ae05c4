//! The training loss of all runs in one plot, coloured by D.

use maud::{Markup, html};

use super::frame::{Frame, drawing, polyline};
use super::number::significant;
use super::point::Point;
use super::scale::Scale;
use super::stroke::{entries, legend, strokes};

/// Curves are averaged over this many stretches of the horizontal axis: single batches scatter more
/// than D changes.
const STRETCHES: usize = 100;

struct Curve {
    point: usize,
    name: String,
    losses: Vec<(f64, f64)>,
}

/// The drawing of all loss curves, and what its strokes stand for.
pub(super) struct LossDrawing {
    pub drawing: Markup,
    /// Style and name of each kind of stroke.
    pub entries: Vec<(String, String)>,
    is_logarithmic: bool,
}

/// The figure of all loss curves, nothing if no run has one; `index` tells its ids from those of
/// other figures.
pub(super) fn loss_plot(points: &[Point<'_>], index: usize) -> Markup {
    let Some(loss) = loss_drawing(points, index) else {
        return html! {};
    };
    html! {
        figure.plot {
            figcaption {
                strong { "Training loss" }
                span.soft { "one curve per run" @if loss.is_logarithmic { ", logarithmic" } }
            }
            (loss.drawing)
            (legend(&loss.entries))
        }
    }
}

/// The drawing alone; `None` if no run has a curve.
pub(super) fn loss_drawing(points: &[Point<'_>], index: usize) -> Option<LossDrawing> {
    let mut curves = curves(points);
    let images: Vec<f64> = curves
        .iter()
        .flat_map(|curve| &curve.losses)
        .map(|(nimg, _)| *nimg)
        .collect();
    let across = Scale::tight(&images)?;
    for curve in &mut curves {
        curve.losses = averaged(&curve.losses, &across);
    }
    let losses: Vec<f64> = curves
        .iter()
        .flat_map(|curve| &curve.losses)
        .map(|(_, loss)| *loss)
        .collect();
    let up = Scale::choose(&losses, &[])?;
    let caption = if across.is_logarithmic() {
        "images seen (logarithmic)"
    } else {
        "images seen"
    };
    let frame = Frame::new(false);
    let strokes = strokes(points);
    let drawn: Vec<usize> = curves.iter().map(|curve| curve.point).collect();
    let content = html! {
        (frame.grid(&up))
        (frame.bottom_axis(&across.ticks(), caption, None))
        @for curve in &curves {
            @let places: Vec<_> = curve.losses.iter().filter_map(|(nimg, loss)| {
                Some((frame.x(across.at(*nimg)?), frame.y(up.at(*loss)?)))
            }).collect();
            polyline.loss style=(strokes[curve.point].css()) points=(polyline(&places)) {
                title { (curve.name) }
            }
        }
    };
    let about = description(&curves);
    Some(LossDrawing {
        drawing: drawing(index, "Training loss by images seen", &about, &content),
        entries: entries(points, &strokes, &drawn),
        is_logarithmic: up.is_logarithmic(),
    })
}

fn curves(points: &[Point<'_>]) -> Vec<Curve> {
    let mut curves = Vec::new();
    for (index, point) in points.iter().enumerate() {
        for row in &point.rows {
            let losses = row.loss_curve.iter().copied();
            let losses: Vec<_> = losses
                .filter(|(nimg, loss)| *nimg > 0.0 && nimg.is_finite() && loss.is_finite())
                .collect();
            if !losses.is_empty() {
                curves.push(Curve {
                    point: index,
                    name: format!("{}, seed {}", point.label, row.seed),
                    losses,
                });
            }
        }
    }
    curves
}

/// The means of the curve's places in each stretch of the axis.
fn averaged(losses: &[(f64, f64)], across: &Scale) -> Vec<(f64, f64)> {
    let mut sums = vec![(0.0, 0.0, 0usize); STRETCHES];
    for &(nimg, loss) in losses {
        if let Some(at) = across.at(nimg) {
            let stretch = ((at * STRETCHES as f64) as usize).min(STRETCHES - 1);
            let (nimg_sum, loss_sum, count) = &mut sums[stretch];
            *nimg_sum += nimg;
            *loss_sum += loss;
            *count += 1;
        }
    }
    let filled = sums.into_iter().filter(|(_, _, count)| *count > 0);
    filled
        .map(|(nimg, loss, count)| (nimg / count as f64, loss / count as f64))
        .collect()
}

/// What a reader who does not see the plot needs to know.
fn description(curves: &[Curve]) -> String {
    let ends = curves.iter().filter_map(|curve| {
        let (_, loss) = curve.losses.last()?;
        Some(format!("{}: {}", curve.name, significant(*loss)))
    });
    let ends: Vec<String> = ends.collect();
    format!("Last loss. {}.", ends.join("; "))
}
