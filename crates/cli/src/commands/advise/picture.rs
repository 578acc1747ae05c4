//! The levels that samples met, as a picture.

use std::fmt::Write;

use pfgmpp_run::{LevelMet, LevelsMet};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
/// Room left, right, above and below.
const MARGINS: [f64; 4] = [64.0, 16.0, 40.0, 52.0];

/// The picture as SVG: bias of ln(shown/sigma) by level with a band of one deviation; levels that do not count are hollow.
pub fn draw(met: &LevelsMet) -> String {
    let axes = Axes::of(&met.levels);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         role=\"img\"><title>Levels that samples show, beside the schedule</title><style>text{{font:13px sans-serif;\
         fill:#333}}</style><rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>"
    );
    let mut put = |text: String| svg.push_str(&text);
    put(format!(
        "<text x=\"{}\" y=\"22\">ln(shown level / schedule), less that of data: kappa* = {:.2}</text>",
        MARGINS[0],
        met.kappa()
    ));
    for tick in axes.ticks() {
        let y = axes.y(tick);
        put(format!(
            "<line x1=\"{}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{:.1}\" \
             text-anchor=\"end\">{tick:.2}</text>",
            MARGINS[0],
            WIDTH - MARGINS[1],
            MARGINS[0] - 8.0,
            y + 4.0
        ));
    }
    let zero = axes.y(0.0);
    put(format!(
        "<line x1=\"{}\" x2=\"{}\" y1=\"{zero:.1}\" y2=\"{zero:.1}\" stroke=\"#333\"/>",
        MARGINS[0],
        WIDTH - MARGINS[1]
    ));
    let band: Vec<String> = {
        let upper = met.levels.iter().map(|level| (level, deviation(level)));
        let lower = met
            .levels
            .iter()
            .rev()
            .map(|level| (level, -deviation(level)));
        let place = |(level, by): (&LevelMet, f64)| {
            format!("{:.1},{:.1}", axes.x(level.sigma), axes.y(level.bias + by))
        };
        upper.chain(lower).map(place).collect()
    };
    put(format!(
        "<polygon points=\"{}\" fill=\"#0068a8\" fill-opacity=\"0.15\"/>",
        band.join(" ")
    ));
    for level in &met.levels {
        let fill = if level.readable { "#0068a8" } else { "#fff" };
        put(format!(
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\" fill=\"{fill}\" stroke=\"#0068a8\"><title>sigma {}: bias {:.4}, \
             variance {:.5}</title></circle>",
            axes.x(level.sigma),
            axes.y(level.bias),
            level.sigma,
            level.bias,
            level.variance
        ));
    }
    for sigma in axes.decades() {
        put(format!(
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{sigma}</text>",
            axes.x(sigma),
            HEIGHT - 30.0
        ));
    }
    put(format!(
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">sigma of the schedule; band: one standard deviation</text>",
        0.5 * WIDTH,
        HEIGHT - 10.0
    ));
    svg.push_str("</svg>\n");
    svg
}

fn deviation(level: &LevelMet) -> f64 {
    level.variance.max(0.0).sqrt()
}

/// Where levels and deviations stand.
struct Axes {
    /// Logarithms of the lowest and highest level.
    sigma: [f64; 2],
    /// The largest deviation, up and down.
    reach: f64,
}

impl Axes {
    fn of(levels: &[LevelMet]) -> Self {
        let logs = || levels.iter().map(|level| level.sigma.log10());
        let ends = [
            logs().fold(f64::INFINITY, f64::min),
            logs().fold(f64::NEG_INFINITY, f64::max),
        ];
        let reach = levels
            .iter()
            .map(|level| level.bias.abs() + deviation(level));
        let width = (ends[1] - ends[0]).max(1e-6);
        Self {
            sigma: [ends[0] - 0.03 * width, ends[1] + 0.03 * width],
            reach: 1.1 * reach.fold(0.02, f64::max),
        }
    }

    fn x(&self, sigma: f64) -> f64 {
        let at = (sigma.log10() - self.sigma[0]) / (self.sigma[1] - self.sigma[0]);
        MARGINS[0] + at * (WIDTH - MARGINS[0] - MARGINS[1])
    }

    fn y(&self, value: f64) -> f64 {
        let half = 0.5 * (HEIGHT - MARGINS[2] - MARGINS[3]);
        MARGINS[2] + half * (1.0 - value / self.reach)
    }

    /// Five round-enough values about 0.
    fn ticks(&self) -> Vec<f64> {
        let step = 10f64.powf((0.5 * self.reach).log10().floor());
        let step = [5.0, 2.0, 1.0]
            .iter()
            .map(|k| k * step)
            .find(|step| 2.0 * step <= self.reach);
        let step = step.unwrap_or(0.5 * self.reach);
        [-2.0, -1.0, 0.0, 1.0, 2.0].map(|k| k * step).to_vec()
    }

    fn decades(&self) -> Vec<f64> {
        let all = (self.sigma[0].ceil() as i32)..=(self.sigma[1].floor() as i32);
        all.map(|exponent| {
            // Without the digits that a power leaves.
            let mut text = String::new();
            write!(text, "1e{exponent}").expect("a string takes all");
            text.parse().unwrap_or(1.0)
        })
        .collect()
    }
}
