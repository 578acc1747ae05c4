//! Tables for a terminal of 80 columns.

use std::path::Path;

use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use pfgmpp_metrics::Description;
use pfgmpp_sweep::report::Judgement;
use pfgmpp_sweep::{Jobs, Plan, Row, Status, SweepResult, axes, judgements};

/// The runs of a plan, of which `jobs` are to go on at a time.
pub fn plan(plan: &Plan, out: &Path, jobs: Jobs) -> String {
    let mut table = new_table();
    let linked = plan.points.iter().any(|point| point.provider.is_some());
    let last = linked.then_some("model of");
    table.set_header(["run", "images", "samples"].into_iter().chain(last));
    for point in &plan.points {
        let config = &point.config;
        let provider = point.provider.map(|run| plan.points[run].name.clone());
        let cells = [
            point.name.clone(),
            config.nimg().to_string(),
            config.scoring.num_samples.to_string(),
        ];
        table.add_row(cells.into_iter().chain(provider));
    }
    align_right(&mut table, 1..3);
    let runs = plan.points.len();
    format!("{table}\n{runs} runs, jobs: {jobs}, into {}", out.display())
}

/// How many runs have come how far, and the first of those that are not finished.
pub fn status(result: &SweepResult) -> String {
    const SHOWN: usize = 20;
    let all = [
        Status::Finished,
        Status::Running,
        Status::Interrupted,
        Status::Failed,
        Status::Pending,
    ];
    let counts = all.map(|status| {
        let rows = result.rows.iter();
        (rows.filter(|row| row.status == status).count(), status)
    });
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts
        .map(|(count, status)| format!("{count} {}", status.as_str()))
        .collect();
    let left = result.rows.iter();
    let left: Vec<&Row> = left.filter(|row| row.status != Status::Finished).collect();
    let mut lines = vec![format!("{} runs: {}", result.rows.len(), counts.join(", "))];
    for row in left.iter().take(SHOWN) {
        let why = match row.message.as_str() {
            "" => String::new(),
            message => format!(": {message}"),
        };
        lines.push(format!("  {}: {}{why}", row.name, row.status.as_str()));
    }
    if left.len() > SHOWN {
        lines.push(format!("  and {} more", left.len() - SHOWN));
    }
    lines.join("\n")
}

/// The results, a row a run with the reference rows beneath; a table for each data set.
pub fn results(result: &SweepResult) -> String {
    let mut data: Vec<&str> = Vec::new();
    for row in &result.rows {
        if !data.contains(&row.data.as_str()) {
            data.push(&row.data);
        }
    }
    let tables = data.iter().map(|name| {
        let table = results_of(result, name);
        if data.len() > 1 {
            format!("{name}\n{table}")
        } else {
            table
        }
    });
    let tables: Vec<String> = tables.collect();
    let failed: String = result
        .rows
        .iter()
        .filter(|row| row.status == Status::Failed)
        .map(|row| format!("\n{}: {}", row.name, row.message))
        .collect();
    format!("{}{failed}", tables.join("\n\n"))
}

fn results_of(result: &SweepResult, data: &str) -> String {
    let rows: Vec<&Row> = result.rows.iter().filter(|row| row.data == data).collect();
    // Of a run's figures only those by which runs compare: the line is short.
    let mut shown: Vec<&Description> = result.metrics.iter().filter(|m| m.across_d).collect();
    let all = shown.len();
    let mut cells = result_cells(result, data, &rows, &shown);
    while cells.width() > WIDTH && shown.len() > 1 {
        shown.pop();
        cells = result_cells(result, data, &rows, &shown);
    }
    let mut table = new_table();
    let columns = cells.lines[0].len();
    let mut lines = cells.lines.into_iter();
    table.set_header(lines.next().unwrap_or_default());
    table.add_rows(lines);
    align_right(&mut table, 0..2);
    align_right(&mut table, cells.first_figure..columns - 1);
    match all - shown.len() {
        0 => table.to_string(),
        1 => format!("{table}\nand 1 further score in results.csv"),
        more => format!("{table}\nand {more} further scores in results.csv"),
    }
}

/// Columns of the terminal that tables are made for.
const WIDTH: usize = 80;

/// A table's cells, the header first, all lines of one length.
struct Cells {
    lines: Vec<Vec<String>>,
    /// The first column of figures behind the axes.
    first_figure: usize,
}

impl Cells {
    /// Columns of the terminal that no word has to be broken for.
    fn width(&self) -> usize {
        let columns = 0..self.lines[0].len();
        let widest = |column: usize| {
            let lengths = self.lines.iter().map(|line| line[column].chars().count());
            lengths.max().unwrap_or(0)
        };
        // Cells have a space on both sides, the table a border.
        2 + columns.map(|column| widest(column) + 2).sum::<usize>()
    }
}

fn result_cells(result: &SweepResult, data: &str, rows: &[&Row], shown: &[&Description]) -> Cells {
    // The axes that other columns do not tell already.
    let told = ["d", "sampler.d", "seed", "data"];
    let axes = axes(rows.iter().copied(), &told);
    let last_part = |key: &&str| key.rsplit('.').next().unwrap_or(key).to_string();
    let mut header = vec!["D".to_string(), "seed".to_string()];
    header.extend(axes.iter().map(last_part));
    let first_figure = header.len();
    // Nothing was trained in some sweeps.
    let loss = |row: &Row| row.result.as_ref().and_then(|r| r.train_loss);
    let trained = rows.iter().any(|row| loss(row).is_some());
    header.extend(trained.then(|| "loss".to_string()));
    let first_score = header.len();
    header.extend(shown.iter().map(|metric| metric.short.to_string()));
    header.extend(["seconds", "status"].map(str::to_string));
    let columns = header.len();
    let mut lines = vec![header];
    for row in rows {
        let mut cells = vec![row.d.to_string(), row.seed.to_string()];
        for axis in &axes {
            let value = row.values.iter().find(|(key, _)| key == axis);
            cells.push(value.map_or(String::new(), |(_, value)| value.clone()));
        }
        cells.extend(trained.then(|| number(loss(row))));
        let result = row.result.as_ref();
        for metric in shown {
            let found = result.and_then(|r| r.scores.get(metric.name));
            cells.push(number(found.map(|found| found.value)));
        }
        cells.push(result.map_or(String::new(), |r| format!("{:.0}", r.seconds)));
        cells.push(row.status.as_str().to_string());
        lines.push(cells);
    }
    for reference in result.references.iter().filter(|r| r.data == data) {
        let mut cells = vec![String::new(); columns];
        cells[columns - 1].clone_from(&reference.name);
        for (cell, metric) in cells[first_score..].iter_mut().zip(shown) {
            *cell = number(reference.scores.get(metric.name).map(|found| found.value));
        }
        lines.push(cells);
    }
    Cells {
        lines,
        first_figure,
    }
}

/// The mean of each point over its seeds where there are several, and what they show, a paragraph for each metric.
pub fn verdicts(result: &SweepResult) -> String {
    let judgements = judgements(result);
    let mut parts: Vec<String> = Vec::new();
    let mut lines: Vec<(&str, &str)> = Vec::new();
    for judgement in &judgements {
        let line = (judgement.data.as_str(), judgement.variant.as_str());
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    for (data, variant) in &lines {
        let of_line = |j: &&Judgement| j.data == *data && j.variant == *variant;
        let of_line: Vec<&Judgement> = judgements.iter().filter(of_line).collect();
        let means = means(&of_line, result);
        let sentences = of_line
            .iter()
            .map(|j| wrapped(&format!("{}.", j.sentence())));
        let several = lines.iter().any(|(other, _)| other != data);
        let name = several.then(|| (*data).to_string());
        parts.push(
            name.into_iter()
                .chain(means)
                .chain(sentences)
                .collect::<Vec<_>>()
                .join("\n"),
        );
    }
    parts.join("\n\n")
}

/// Means with their half intervals, if any point has two seeds.
fn means(judgements: &[&Judgement], result: &SweepResult) -> Option<String> {
    let first = judgements.first()?;
    if first
        .means()
        .all(|(_, mean)| mean.is_none_or(|mean| mean.seeds < 2))
    {
        return None;
    }
    let mut table = new_table();
    let short = |name: &str| {
        let metric = result.metrics.iter().find(|metric| metric.name == name);
        metric.map_or(name.to_string(), |metric| metric.short.to_string())
    };
    let metrics = judgements
        .iter()
        .map(|j| format!("{} ± 95 %", short(&j.metric)));
    table.set_header(
        ["mean of".to_string(), "seeds".to_string()]
            .into_iter()
            .chain(metrics),
    );
    for (row, (label, mean)) in first.means().enumerate() {
        let of_metrics = judgements.iter().map(|judgement| {
            let mean = judgement.means().nth(row).and_then(|(_, mean)| mean);
            let half = mean.and_then(|mean| Some(0.5 * (mean.interval?[1] - mean.interval?[0])));
            let half = half.map_or(String::new(), |half| format!(" ± {}", number(Some(half))));
            number(mean.map(|mean| mean.mean)) + &half
        });
        let seeds = mean.map_or(0, |mean| mean.seeds).to_string();
        table.add_row([label.to_string(), seeds].into_iter().chain(of_metrics));
    }
    align_right(&mut table, 1..2 + judgements.len());
    Some(table.to_string())
}

/// Text in lines of at most 80 characters.
pub fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is one line");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > 80 {
            lines.push(word.to_string());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n")
}

/// Four significant digits.
pub fn number(value: Option<f64>) -> String {
    match value {
        None => String::new(),
        Some(v) if v != 0.0 && (v.abs() < 1e-4 || v.abs() >= 1e5) => format!("{v:.2e}"),
        Some(v) => {
            let whole = v.abs().max(1e-4).log10().floor() as i32;
            format!("{v:.*}", (3 - whole).clamp(0, 5) as usize)
        }
    }
}

/// An empty table of the house's look.
pub fn new_table() -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    // Long values wrap within their cell.
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(80);
    table
}

/// Aligns columns of numbers.
pub fn align_right(table: &mut Table, columns: std::ops::Range<usize>) {
    for column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{number, wrapped};

    #[test]
    fn sentences_fit_the_terminal() {
        let text = "word ".repeat(40) + "end";
        let got = wrapped(&text);
        assert!(
            got.lines().all(|line| line.chars().count() <= 80),
            "got {got}"
        );
        assert_eq!(got.replace('\n', " "), text);
    }

    #[test]
    fn numbers_keep_about_four_digits() {
        let got: Vec<String> = [0.0123456, 0.0, 3.14259, 641.26, -0.00012, 1234567.0, 1e-7]
            .map(|v| number(Some(v)))
            .to_vec();
        let want = [
            "0.01235", "0.00000", "3.143", "641.3", "-0.00012", "1.23e6", "1.00e-7",
        ];
        assert_eq!(got, want);
    }
}
