//! A verdict in one sentence.

use super::{Contest, Finding, Needed, Verdict};
use crate::compare::{FEWEST_SEEDS, MOST_SEEDS};

/// The finding in words, without a period.
pub(super) fn of(contest: &Contest<'_>, verdict: &Verdict) -> String {
    let best = &contest.candidates[verdict.best].label;
    let seeds = seeds(contest);
    let found = match &verdict.finding {
        Finding::Best => format!("{best} is best and beyond chance, with {seeds}"),
        Finding::TooFewSeeds if seeds == "1 seed" => {
            format!("with 1 seed nothing can be told apart: at least {FEWEST_SEEDS} are needed")
        }
        Finding::TooFewSeeds => format!("with {seeds} nothing can be told apart"),
        Finding::NotApart if has_no_control(contest) => {
            let control = contest
                .control
                .map(|control| &contest.candidates[control].label);
            let control = control.map_or("", String::as_str);
            format!(
                "{control} has no score yet, so no {} can be compared with it",
                contest.noun
            )
        }
        Finding::NotApart => {
            let from = match contest.control {
                Some(control) => contest.candidates[control].label.clone(),
                None => format!("the best ({best})"),
            };
            format!(
                "no {} can be told apart from {from} with {seeds}{}",
                contest.noun,
                needed(contest, verdict.needed)
            )
        }
        Finding::Apart { better, worse } => apart(contest, verdict, better, worse),
    };
    match verdict.loses_to_baseline {
        Some(true) => format!(
            "{found}; no {} is better than the fitted Gaussian",
            contest.noun
        ),
        _ => found,
    }
}

/// Whether there is a control, and it has no score.
fn has_no_control(contest: &Contest<'_>) -> bool {
    let control = contest.control.map(|control| &contest.candidates[control]);
    control.is_some_and(|control| control.scores.is_empty())
}

fn apart(contest: &Contest<'_>, verdict: &Verdict, better: &[usize], worse: &[usize]) -> String {
    let seeds = seeds(contest);
    let Some(control) = contest.control else {
        let best = &contest.candidates[verdict.best].label;
        let are = are(worse.len());
        return format!(
            "{} {are} worse than {best} beyond chance; which is best cannot be told with {seeds}",
            list(contest, worse)
        );
    };
    let control = &contest.candidates[control].label;
    let others = match worse {
        [] => String::new(),
        worse => format!("; {} {} worse", list(contest, worse), are(worse.len())),
    };
    if better.is_empty() {
        let needed = needed(contest, verdict.needed);
        return format!(
            "no {} is better than {control} beyond chance with {seeds}{others}{needed}",
            contest.noun
        );
    }
    let which = match better.len() {
        1 => format!("; whether it is the best {} cannot be told", contest.noun),
        _ => "; which of them is best cannot be told".to_string(),
    };
    format!(
        "{} {} better than {control} beyond chance, with {seeds}{others}{which}",
        list(contest, better),
        are(better.len())
    )
}

fn needed(contest: &Contest<'_>, needed: Option<Needed>) -> String {
    let Some(needed) = needed else {
        return String::new();
    };
    let number = match needed.seeds {
        Some(seeds) => format!("about {seeds}"),
        None => format!("more than {MOST_SEEDS}"),
    };
    let at = &contest.candidates[needed.candidate].label;
    let between = match contest.control {
        Some(_) => format!("that of {at}"),
        None => format!("that of {at} to it"),
    };
    format!(
        "; {number} would be needed for a difference of {} ({between})",
        digits(needed.difference)
    )
}

/// Two significant digits: a difference of few seeds has no more.
fn digits(value: f64) -> String {
    if value == 0.0 || !(1e-4..1e5).contains(&value) {
        return format!("{value:.1e}");
    }
    let decimals = 1 - value.log10().floor() as i32;
    format!("{value:.*}", decimals.max(0) as usize)
}

/// `5 seeds`, or `3 to 5 seeds` where points have different numbers.
fn seeds(contest: &Contest<'_>) -> String {
    let counts = || {
        contest
            .candidates
            .iter()
            .map(|c| c.scores.len())
            .filter(|n| *n > 0)
    };
    match (counts().min().unwrap_or(0), counts().max().unwrap_or(0)) {
        (1, 1) => "1 seed".to_string(),
        (low, high) if low == high => format!("{low} seeds"),
        (low, high) => format!("{low} to {high} seeds"),
    }
}

fn are(num: usize) -> &'static str {
    if num == 1 { "is" } else { "are" }
}

/// `D = 1, D = 8 and D = 64`
fn list(contest: &Contest<'_>, which: &[usize]) -> String {
    let labels: Vec<&str> = which
        .iter()
        .map(|&i| contest.candidates[i].label.as_str())
        .collect();
    match labels.as_slice() {
        [] => String::new(),
        [one] => (*one).to_string(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
