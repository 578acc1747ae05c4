//! What is said of scores.

use pfgmpp_metrics::Scores;
use serde::Serialize;

use super::Args;
use super::sets::{Reference, Sets};
use crate::failure::Failure;
use crate::table::{align_right, new_table, number};
use crate::terminal::{print, print_json};

/// What was found, as JSON.
#[derive(Serialize)]
struct Found<'a> {
    samples: Option<&'a str>,
    features: Option<&'a str>,
    reference: Vec<&'a str>,
    scores: &'a Scores,
}

/// Prints the scores.
pub fn report(args: &Args, sets: &Sets, scores: &Scores) -> Result<(), Failure> {
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
    Ok(())
}
