//! The tests behind the verdicts as tables: each point less D = ∞ and less the best.

use maud::{Markup, html};
use pfgmpp_metrics::Comparison;

use super::judgement::Judgement;
use super::number::significant;
use super::table::interval;

/// How each point compares with D = ∞ and with the best, metric by metric; nothing where no test was made.
pub(super) fn comparisons(judgements: &[Judgement]) -> Markup {
    let tested = |judgement: &&Judgement| {
        let standings = &judgement.verdict.standings;
        standings
            .iter()
            .any(|s| s.with_best.is_some() || s.with_control.is_some())
    };
    let tested: Vec<&Judgement> = judgements.iter().filter(tested).collect();
    html! {
        @if !tested.is_empty() {
            details {
                summary { "Differences between points of the same seeds, with their tests" }
                @for judgement in tested { (compared(judgement)) }
                p.soft {
                    "One interval in 20 misses the true difference. p is corrected by Holm: beside D = ∞ for the number of D, "
                    "beside the best, which was chosen by the same scores, for all pairs."
                }
            }
        }
    }
}

fn compared(judgement: &Judgement) -> Markup {
    let standings = &judgement.verdict.standings;
    let best = &standings[judgement.verdict.best].label;
    let has_control = standings.iter().any(|s| s.with_control.is_some());
    let name = judgement.sentence();
    let cells = |found: Option<Comparison>, p: Option<f64>| {
        let difference = found.map(|found| significant(found.difference));
        let ends = found.zip(difference.as_ref());
        let ends = ends.map(|(found, text)| interval(found.interval, text));
        html! {
            td.number { (difference.unwrap_or_default()) }
            td.deviation { (ends.unwrap_or_default()) }
            td.number { (p.map(significant).unwrap_or_default()) }
        }
    };
    html! {
        div.wide.comparison tabindex="0" role="region" aria-label=(name) {
            table {
                caption { span { (name) } }
                thead {
                    tr {
                        th scope="col" { "Point" }
                        @if has_control {
                            th.number scope="col" { "less D = ∞" } td {} th.number scope="col" { "p" }
                        }
                        th.number scope="col" { "less " (best) } td {} th.number scope="col" { "p" }
                    }
                }
                tbody {
                    @for standing in standings {
                        tr {
                            th scope="row" { (standing.label) }
                            @if has_control { (cells(standing.with_control, standing.p_control)) }
                            (cells(standing.with_best, standing.p_best))
                        }
                    }
                }
            }
        }
    }
}
