//! What all plots share: the drawing area, grid, axes, and marks in SVG.

use maud::{Markup, html};

use super::scale::{Scale, Tick};

/// The drawing's size; the page scales it to its column.
const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 295.0;

const LEFT: f64 = 56.0;
const RIGHT: f64 = 10.0;
const TOP: f64 = 10.0;

/// Room for two rows of tick labels and the caption below the axis.
const BELOW: f64 = 54.0;

/// Room for slanted names below the axis.
const BELOW_NAMES: f64 = 92.0;

/// Longer names are cut; their whole stands in the table.
const NAME_LENGTH: usize = 20;

/// The area inside a plot's axes.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    bottom: f64,
}

impl Frame {
    /// An area above an axis of numbers, or of names that need more room.
    pub fn new(names: bool) -> Self {
        Self {
            bottom: HEIGHT - if names { BELOW_NAMES } else { BELOW },
        }
    }

    /// The horizontal place of `at`, 0 at the left axis and 1 at the right end.
    pub fn x(self, at: f64) -> f64 {
        LEFT + at * (WIDTH - LEFT - RIGHT)
    }

    /// The vertical place of `at`, 0 on the bottom axis and 1 at the top.
    pub fn y(self, at: f64) -> f64 {
        self.bottom - at * (self.bottom - TOP)
    }

    /// Horizontal grid lines with their labels.
    pub fn grid(self, scale: &Scale) -> Markup {
        html! {
            @for tick in scale.ticks() {
                @let y = place(self.y(tick.at));
                line.grid x1=(place(self.x(0.0))) x2=(place(self.x(1.0))) y1=(y) y2=(y) {}
                text.tick x=(place(self.x(0.0) - 7.0)) y=(y) dy="0.33em" text-anchor="end" {
                    (tick.label)
                }
            }
        }
    }

    /// The bottom axis with its ticks, those labels that have room, and a caption.
    pub fn bottom_axis(self, ticks: &[Tick], caption: &str, break_at: Option<f64>) -> Markup {
        let y = self.y(0.0);
        let places: Vec<_> = ticks
            .iter()
            .map(|tick| (self.x(tick.at), tick.label.chars().count()))
            .collect();
        html! {
            (self.axis_line(break_at))
            @for (tick, row) in ticks.iter().zip(label_rows(&places)) {
                @let x = place(self.x(tick.at));
                line.axis x1=(x) x2=(x) y1=(place(y)) y2=(place(y + 5.0)) {}
                @if let Some(row) = row {
                    @let below = place(y + 17.0 + 13.0 * row as f64);
                    text.tick.infinity[tick.label == "∞"] x=(x) y=(below) text-anchor="middle" {
                        (tick.label)
                    }
                }
            }
            text.caption x=(place(self.x(0.5))) y=(place(HEIGHT - 8.0)) text-anchor="middle" {
                (caption)
            }
        }
    }

    /// The bottom axis with names, slanted, and cut where they are long.
    pub fn name_axis(self, ticks: &[Tick]) -> Markup {
        let y = self.y(0.0);
        html! {
            (self.axis_line(None))
            @for tick in ticks {
                @let x = place(self.x(tick.at));
                line.axis x1=(x) x2=(x) y1=(place(y)) y2=(place(y + 5.0)) {}
                @let slant = format!("translate({x} {}) rotate(-35)", place(y + 14.0));
                text.tick x="0" y="0" text-anchor="end" transform=(slant) {
                    (shortened(&tick.label))
                    title { (tick.label) }
                }
            }
        }
    }

    /// The bottom line, with two slanting strokes where the axis is broken.
    fn axis_line(self, break_at: Option<f64>) -> Markup {
        let (y, left, right) = (self.y(0.0), self.x(0.0), self.x(1.0));
        let stroke = |x: f64| format!("M{} {}l6 -12", place(x - 3.0), place(y + 6.0));
        html! {
            @match break_at.map(|at| self.x(at)) {
                None => path.axis d=(format!("M{} {}H{}", place(left), place(y), place(right))) {},
                Some(x) => {
                    path.axis d=(format!("M{} {}H{}", place(left), place(y), place(x - 3.5))) {}
                    path.axis d=(format!("M{} {}H{}", place(x + 3.5), place(y), place(right))) {}
                    path.axis d=(stroke(x - 3.5) + &stroke(x + 3.5)) {}
                }
            }
        }
    }
}

/// A drawing with a title and a description for readers who do not see it; `index` tells its ids
/// from those of the page's other drawings.
pub(super) fn drawing(index: usize, title: &str, description: &str, content: &Markup) -> Markup {
    let (title_id, description_id) = (format!("plot-{index}-title"), format!("plot-{index}-desc"));
    let labels = format!("{title_id} {description_id}");
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-labelledby=(labels) {
            title id=(title_id) { (title) }
            desc id=(description_id) { (description) }
            (content)
        }
    }
}

/// Height of a line of the legend below a drawing that stands alone.
const LEGEND_LINE: f64 = 17.0;

/// Room for the title above a drawing that stands alone.
const TITLE: f64 = 22.0;

/// The rules of drawings, for those that the page's style sheet does not reach.
const RULES: &str = "text{font:12px sans-serif;fill:#5a636e}.infinity{font-size:16px}.name{font-size:13px;fill:#1b1f24}\
.grid{stroke:#e1e3e6}.axis{stroke:#8b939c;fill:none}.mean,.loss{fill:none;stroke:currentColor;stroke-width:1.8}\
.leap{stroke-dasharray:4 4}.seed{fill:currentColor;fill-opacity:.75;stroke:#fff}.interval{stroke:currentColor;\
stroke-width:1.5}circle.best{fill:none;stroke:#b3400e;stroke-width:2}text.best{fill:#b3400e}\
line.reference{stroke:#5a636e;stroke-dasharray:2 3}";

/// What an SVG file of this program begins with, by which it is told from those of others.
pub(super) fn beginning() -> &'static str {
    "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"pfgmpp\""
}

/// A drawing as an SVG file: on white, with its title and legend, in colours that stand in it.
pub(super) fn alone(drawing: &Markup, title: &str, legend: &[(String, String)]) -> String {
    let height = HEIGHT + TITLE + LEGEND_LINE * legend.len() as f64;
    let entries = html! {
        @for (line, (style, name)) in legend.iter().enumerate() {
            @let y = HEIGHT + LEGEND_LINE * (line as f64 + 0.5);
            g style=(style) {
                path.loss d=(format!("M{LEFT} {}h22", place(y - 4.0))) {}
                text x=(place(LEFT + 30.0)) y=(place(y)) { (name) }
            }
        }
    };
    let inside = drawing.0.split_once('>').map_or("", |(_, inside)| inside);
    let inside = inside.strip_suffix("</svg>").unwrap_or(inside);
    let name = html! { text.name x=(place(LEFT)) y="-6" { (title) } };
    let svg = format!(
        "{} width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 -{TITLE} {WIDTH} {height}\"><style>{RULES}</style><rect y=\"-{TITLE}\" width=\"100%\" height=\"100%\" \
         fill=\"#fff\"/>{}{inside}{}</svg>\n",
        beginning(),
        name.0,
        entries.0
    );
    with_colours(&svg)
}

/// Puts the light theme's colours where the page has variables, which few programs but browsers know.
fn with_colours(svg: &str) -> String {
    let mut text = svg.replace("--k:", "color:");
    let sheet = super::page::STYLE.split('}').next().unwrap_or_default();
    for rule in sheet.split([';', '{']) {
        let Some((name, colour)) = rule.trim().rsplit_once(':') else {
            continue;
        };
        // Behind a comment of the sheet a name begins anew.
        let name = name.rsplit([' ', '\n']).next().unwrap_or(name);
        if name.starts_with("--") {
            text = text.replace(&format!("var({name})"), colour.trim());
        }
    }
    text
}

/// A line through the places, in drawing units.
pub(super) fn polyline(places: &[(f64, f64)]) -> String {
    let places: Vec<String> = places
        .iter()
        .map(|(x, y)| format!("{},{}", place(*x), place(*y)))
        .collect();
    places.join(" ")
}

/// A coordinate to a tenth of a unit: finer is not seen and only lengthens the page.
pub(super) fn place(coordinate: f64) -> String {
    format!("{coordinate:.1}")
}

/// The row beneath the axis in which each label, given by its centre and its number of characters,
/// stands without touching another; `None` where there is no room in two rows.
///
/// Labels are placed from the right, so that the last one is always shown.
fn label_rows(labels: &[(f64, usize)]) -> Vec<Option<usize>> {
    let mut free_to = [f64::INFINITY; 2];
    let mut rows: Vec<Option<usize>> = Vec::new();
    for &(x, characters) in labels.iter().rev() {
        let half = characters as f64 * 3.8 + 2.0;
        let row = free_to.iter().position(|free| x + half <= *free);
        if let Some(row) = row {
            free_to[row] = x - half;
        }
        rows.push(row);
    }
    rows.reverse();
    rows
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME_LENGTH {
        return name.to_owned();
    }
    let mut short: String = name.chars().take(NAME_LENGTH - 1).collect();
    short.push('…');
    short
}
