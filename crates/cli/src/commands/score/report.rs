//! What is said of scores.

use pfgmpp_metrics::{ColumnTails, Measured, Scores, TailReport};
use serde::Serialize;

use super::Args;
use super::sets::{Reference, Sets};
use crate::failure::Failure;
use crate::table::{align_right, new_table, number};
use crate::terminal::{note, print, print_json};

/// What was found, as JSON.
#[derive(Serialize)]
struct Found<'a> {
    samples: Option<&'a str>,
    features: Option<&'a str>,
    reference: Vec<&'a str>,
    scores: &'a Scores,
    /// The tails of each column, of tables.
    #[serde(skip_serializing_if = "Option::is_none")]
    tails: Option<&'a TailReport>,
}

/// Columns whose tails are shown.
const MOST_COLUMNS: usize = 8;

/// Prints the scores.
pub fn report(
    args: &Args,
    sets: &Sets,
    scores: &Scores,
    tails: Option<&TailReport>,
) -> Result<(), Failure> {
    if args.json {
        let reference = match &sets.reference {
            Reference::Sets { values, features } => {
                let both = values.iter().chain(features);
                both.map(|set| set.found.as_str()).collect()
            }
            Reference::Moments(_) => vec!["statistics"],
            Reference::None => Vec::new(),
        };
        return print_json(&Found {
            samples: sets.samples.as_ref().map(|set| set.found.as_str()),
            features: sets.features.as_ref().map(|set| set.found.as_str()),
            reference,
            scores,
            tails,
        });
    }
    if scores.iter().next().is_none() {
        return Ok(());
    }
    let mut table = new_table();
    table.set_header(["score", "value", "± s.e.", ""]);
    for score in scores.iter() {
        let about = score.description();
        table.add_row([
            about.map_or(score.name.clone(), |about| about.label.to_string()),
            number(Some(score.estimate.value)),
            number(score.estimate.standard_error),
            about.map_or(String::new(), |about| about.better.in_words()),
        ]);
    }
    align_right(&mut table, 1..3);
    print(table);
    if let Some(tails) = tails {
        show_tails(tails);
    }
    Ok(())
}

/// Prints a statistic of samples and data in a row.
fn show_tails(tails: &TailReport) {
    let mut table = new_table();
    table.set_header(["column", "tail", "samples", "reference"]);
    let shown = match tails.columns.len() {
        0..=MOST_COLUMNS => &tails.columns[..],
        several => {
            note(format_args!(
                "of {several} columns the first {MOST_COLUMNS} are shown, --json has all"
            ));
            &tails.columns[..MOST_COLUMNS]
        }
    };
    for ColumnTails {
        name,
        samples,
        data,
    } in shown.iter().chain([&tails.all])
    {
        for (what, own, other) in [
            ("kurtosis", samples.kurtosis, data.kurtosis),
            ("index, lowest 5 %", samples.hill_left, data.hill_left),
            ("index, highest 5 %", samples.hill_right, data.hill_right),
            ("index, lowest 1 %", samples.hill_left_99, data.hill_left_99),
            (
                "index, highest 1 %",
                samples.hill_right_99,
                data.hill_right_99,
            ),
        ] {
            table.add_row([
                name.clone(),
                what.to_string(),
                with_interval(own),
                with_interval(other),
            ]);
        }
    }
    align_right(&mut table, 2..4);
    print(table);
    print(
        "tail indices by Hill, with 95 % bootstrap intervals over rows; all: geometric means of columns",
    );
}

/// `3.1 [2.9, 3.4]`
fn with_interval(measured: Measured) -> String {
    let digits = |value: f64| match value.abs() {
        value if value >= 100.0 => format!("{value:.0}"),
        _ => format!("{value:.2}"),
    };
    let value = digits(measured.value);
    match measured.interval {
        Some([low, high]) => format!("{value} [{}, {}]", digits(low), digits(high)),
        None if measured.value.is_nan() => "none".to_string(),
        None => value,
    }
}
