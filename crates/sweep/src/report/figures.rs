//! Each figure of the report as an SVG file of its own, for a page or a paper.

use maud::html;

use super::Report;
use super::dimension_axis::PointAxis;
use super::evaluations::Settings;
use super::frame::{alone, beginning};
use super::loss_plot::loss_drawing;
use super::page::Group;

/// Names and contents of the SVG files: a score's name, `_by_weight` behind it for that against D/(N + D), and
/// `training_loss`; the name of the data set before them where there are several.
///
/// They need no style sheet, follow no theme, and use nothing that a converter to PDF would not know.
pub fn figures(report: &Report) -> Vec<(String, String)> {
    let groups = Group::of(report);
    let mut figures: Vec<(String, String)> = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        let prefix = match groups.len() {
            1 => String::new(),
            _ => format!("{}_", file_name(group.data, index)),
        };
        for (metric, axis) in group.axes(&report.metrics) {
            let suffix = match axis {
                PointAxis::Weights { .. } => "_by_weight",
                _ => "",
            };
            let name = format!("{prefix}{}{suffix}", metric.key);
            let drawn = group.plot(metric, axis).alone();
            figures.extend(
                drawn.map(|(drawing, series)| (name, alone(&drawing, &metric.label, &series))),
            );
        }
        let settings = Settings::of(&group.points);
        for plot in settings
            .iter()
            .flat_map(|s| s.plots(&group.points, &report.metrics))
        {
            let name = format!("{prefix}{}", plot.name());
            let drawn = plot.drawing(0);
            figures.extend(
                drawn.map(|(drawing, lines)| (name, alone(&drawing, &plot.title(), &lines))),
            );
        }
        if let Some(loss) = loss_drawing(&group.points, 0) {
            let drawing = html! { (loss.drawing) };
            figures.push((
                format!("{prefix}training_loss"),
                alone(&drawing, "Training loss", &loss.entries),
            ));
        }
    }
    figures
}

/// Whether `svg` is the text of a figure that [`figures`] has made.
pub fn is_own_figure(svg: &[u8]) -> bool {
    svg.starts_with(beginning().as_bytes())
}

/// The name of a data set, which may be a path, as part of a file's name; its place keeps two apart.
fn file_name(data: &str, index: usize) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    format!(
        "{}-{}",
        index + 1,
        data.chars().map(plain).collect::<String>()
    )
}
