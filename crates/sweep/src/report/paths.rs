//! How samples came about: their paths in the plane, or as strips of pictures.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};

use super::frame::{place, polyline};
use super::point::{Point, runs};
use super::{Paths, PlanePaths, Row};

/// Half the width of the shown part of the plane, in units of the data.
const REACH: f64 = 1.6;
/// The drawing's size; the page scales it to its column.
const SIZE: f64 = 300.0;

/// One drawing for each point of the sweep, of its first seed; nothing if no run has paths.
pub(super) fn paths(points: &[Point<'_>]) -> Markup {
    let first = runs(points).map(|(_, row)| row.seed).min();
    let drawn = runs(points).filter(|(_, row)| Some(row.seed) == first);
    let drawn: Vec<_> = drawn
        .filter_map(|(point, row)| Some((point, row, row.paths.as_ref()?)))
        .collect();
    let strips = drawn
        .iter()
        .any(|(_, _, paths)| matches!(paths, Paths::Strip(_)));
    html! {
        @if !drawn.is_empty() {
            section {
                h2 { "From noise to data" }
                @if strips {
                    p.soft {
                        "One row per sample, from the highest noise level on the left to the data on the "
                        "right; shown is x / sqrt(1 + sigma²)."
                    }
                } @else {
                    p.soft {
                        "Each line is the path of one sample from the prior, which lies far outside, to "
                        "the data; grey dots are held-out data."
                    }
                }
                div.cards style=(format!("--n:{}", drawn.len().min(6))) {
                    @for (point, row, paths) in drawn { (figure(point, row, paths)) }
                }
            }
        }
    }
}

fn figure(point: &Point<'_>, row: &Row, paths: &Paths) -> Markup {
    let title = format!("Paths of samples, {}, seed {}", point.label, row.seed);
    html! {
        figure.card {
            @match paths {
                Paths::Plane(paths) => (drawing(&title, paths)),
                Paths::Strip(png) => {
                    img alt=(title) src=(format!("data:image/png;base64,{}", STANDARD.encode(png)));
                }
            }
            figcaption { strong { (point.label) } }
        }
    }
}

fn drawing(title: &str, paths: &PlanePaths) -> Markup {
    let spot = |[x, y]: [f64; 2]| (across(x), across(-y));
    html! {
        svg.plane viewBox=(format!("0 0 {SIZE} {SIZE}")) role="img" aria-label=(title) {
            @for &held_out in &paths.held_out {
                @let (x, y) = spot(held_out);
                circle.held-out cx=(place(x)) cy=(place(y)) r="1.2" {}
            }
            @for path in &paths.paths {
                polyline.path points=(polyline(&seen(path))) {}
            }
            @for end in paths.paths.iter().filter_map(|path| path.last()) {
                @let (x, y) = spot(*end);
                circle.end cx=(place(x)) cy=(place(y)) r="2" {}
            }
        }
    }
}

fn across(coordinate: f64) -> f64 {
    // Far outside all places look alike, and SVG readers dislike huge numbers.
    SIZE * (0.5 + 0.5 * coordinate.clamp(-1e3, 1e3) / REACH)
}

/// The part of a path from the last step outside the drawing on.
fn seen(path: &[[f64; 2]]) -> Vec<(f64, f64)> {
    let inside = |[x, y]: &[f64; 2]| x.abs().max(y.abs()) < REACH;
    let entry = path.iter().position(inside).unwrap_or(0).saturating_sub(1);
    path[entry..]
        .iter()
        .map(|[x, y]| (across(*x), across(-*y)))
        .collect()
}
