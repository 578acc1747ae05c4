//! The results as text: CSV of everything that was compared, tables in Markdown and LaTeX.

use super::judgement::Judgement;
use super::number::significant;
use super::page::Group;
use super::table::interval;
use super::{Report, score};

/// A line for each point and metric: mean, interval, and the comparisons with D = ∞ and with the best.
///
/// Differences are the point's less the other's on a scale where lower is better; p are corrected by Holm.
pub fn summary_csv(judgements: &[Judgement]) -> String {
    let mut csv = csv::Writer::from_writer(Vec::new());
    let header = [
        "data",
        "variant",
        "point",
        "d",
        "metric",
        "seeds",
        "mean",
        "deviation",
        "low",
        "high",
        "less_control",
        "p_control",
        "less_best",
        "p_best",
        "best",
    ];
    csv.write_record(header).expect("memory takes any record");
    for judgement in judgements {
        for (index, standing) in judgement.verdict.standings.iter().enumerate() {
            let number =
                |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
            let interval = standing.mean.and_then(|mean| mean.interval);
            let record = [
                judgement.data.clone(),
                judgement.variant.clone(),
                standing.label.clone(),
                judgement.d[index].map_or(String::new(), |d| d.to_string()),
                judgement.metric.clone(),
                standing.mean.map_or(0, |mean| mean.seeds).to_string(),
                number(standing.mean.map(|mean| mean.mean)),
                number(standing.mean.and_then(|mean| mean.deviation)),
                number(interval.map(|ends| ends[0])),
                number(interval.map(|ends| ends[1])),
                number(standing.with_control.map(|found| found.difference)),
                number(standing.p_control),
                number(standing.with_best.map(|found| found.difference)),
                number(standing.p_best),
                (judgement.verdict.winner() == Some(index)).to_string(),
            ];
            csv.write_record(record)
                .expect("every record has as many fields");
        }
    }
    let bytes = csv.into_inner().expect("memory takes any record");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The verdicts and a table of means with their intervals, in Markdown.
pub fn markdown(report: &Report) -> String {
    let mut text = format!("# {}\n", report.title);
    for table in TextTable::of(report) {
        let cells = |cells: &[String]| {
            let escaped: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
            format!("| {} |\n", escaped.join(" | "))
        };
        text += &format!("\n{}\n\n", table.data);
        for sentence in &table.sentences {
            text += &format!("- {sentence}\n");
        }
        text += "\n";
        text += &cells(&table.header);
        let rule = |index: usize| if index == 0 { "---|" } else { "--:|" };
        text += &format!(
            "|{}\n",
            (0..table.header.len()).map(rule).collect::<String>()
        );
        table.rows.iter().for_each(|row| text += &cells(row));
    }
    text
}

/// The table of means with their intervals as LaTeX's `tabular`, the verdicts as comments above it.
///
/// It needs the package `booktabs`.
pub fn latex(report: &Report) -> String {
    let mut text = String::new();
    for table in TextTable::of(report) {
        let cells = |cells: &[String]| {
            let escaped: Vec<String> = cells.iter().map(|cell| tex(cell)).collect();
            format!("{} \\\\\n", escaped.join(" & "))
        };
        let comments = std::iter::once(&table.data).chain(&table.sentences);
        comments.for_each(|line| text += &format!("% {}\n", line.replace('\n', " ")));
        text += &format!(
            "\\begin{{tabular}}{{l{}}}\n\\toprule\n",
            "r".repeat(table.header.len() - 1)
        );
        text += &cells(&table.header);
        text += "\\midrule\n";
        for (index, row) in table.rows.iter().enumerate() {
            if index == table.runs {
                text += "\\midrule\n";
            }
            text += &cells(row);
        }
        text += "\\bottomrule\n\\end{tabular}\n\n";
    }
    text
}

/// A table of one data set as text.
struct TextTable {
    data: String,
    sentences: Vec<String>,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    /// How many rows are of runs; references follow.
    runs: usize,
}

impl TextTable {
    fn of(report: &Report) -> Vec<Self> {
        let metrics: Vec<_> = report
            .metrics
            .iter()
            .filter(|m| m.better().is_some())
            .collect();
        let table = |group: &Group<'_>| {
            let found = report.data.iter().find(|data| data.name == group.data);
            let points = group.points.iter().map(|point| {
                let of_metrics = metrics.iter().map(|metric| {
                    let Some(mean) = point.mean(&metric.key) else {
                        return String::new();
                    };
                    let value = significant(mean.mean);
                    let ends = mean
                        .interval
                        .map(|ends| format!(" {}", interval(ends, &value)));
                    value + &ends.unwrap_or_default()
                });
                let head = [point.label.clone(), point.rows.len().to_string()];
                head.into_iter().chain(of_metrics).collect()
            });
            let references = group.references.iter().map(|reference| {
                let value =
                    |key: &str| score(&reference.scores, key).map_or(String::new(), significant);
                let head = [reference.name.clone(), String::new()];
                head.into_iter()
                    .chain(metrics.iter().map(|metric| value(&metric.key)))
                    .collect()
            });
            let head = ["", "seeds"].map(str::to_owned).into_iter();
            Self {
                data: found.map_or(group.data.to_owned(), |data| data.found.clone()),
                sentences: group.judgements.iter().map(Judgement::sentence).collect(),
                header: head
                    .chain(metrics.iter().map(|metric| metric.label.clone()))
                    .collect(),
                rows: points.chain(references).collect(),
                runs: group.points.len(),
            }
        };
        Group::of(report).iter().map(table).collect()
    }
}

/// Text for LaTeX: what it takes for commands is escaped, what its fonts may lack is mathematics.
fn tex(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => out.extend(['\\', c]),
            '\\' => out += "\\textbackslash{}",
            '~' => out += "\\textasciitilde{}",
            '^' => out += "\\textasciicircum{}",
            '∞' => out += "$\\infty$",
            '−' => out += "$-$",
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::tex;

    #[test]
    fn what_latex_takes_for_commands_is_escaped() {
        let got = tex("D = ∞, lr_x=1e-3 & 5 % −2 \\a");
        let want = "D = $\\infty$, lr\\_x=1e-3 \\& 5 \\% $-$2 \\textbackslash{}a";
        assert_eq!(got, want);
    }
}
