//! Verdicts over sweeps that are drawn, and their sentences.

use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal, StudentT};

use super::*;
use crate::stream::{Purpose, stream};

const LABELS: [&str; 6] = ["D = 1", "D = 8", "D = 64", "D = 128", "D = 2048", "D = ∞"];

/// A sweep of six D: a mean and a scatter each, and what a seed does to all of them.
struct Law {
    means: [f64; 6],
    scatter: [f64; 6],
    shared: f64,
    /// Degrees of freedom of the scatter's law; none for the normal one.
    heavy: Option<f64>,
}

impl Law {
    fn sweep(&self, seeds: u64, repetition: usize) -> Vec<Candidate> {
        let mut rng = stream(16, Purpose::GaussianFit, repetition);
        let shared: Vec<f64> = (0..seeds)
            .map(|_| self.shared * rng.sample::<f64, _>(StandardNormal))
            .collect();
        let each = LABELS.iter().zip(self.means.iter().zip(self.scatter));
        each.map(|(label, (mean, scatter))| Candidate {
            label: (*label).to_string(),
            scores: (0..seeds)
                .map(|seed| {
                    (
                        seed,
                        mean + shared[seed as usize] + scatter * self.draw(&mut rng),
                    )
                })
                .collect(),
        })
        .collect()
    }

    fn draw(&self, rng: &mut impl Rng) -> f64 {
        match self.heavy {
            None => rng.sample(StandardNormal),
            Some(degrees) => StudentT::new(degrees).unwrap().sample(rng),
        }
    }

    /// The part of `num` sweeps of which `holds`.
    fn part(&self, seeds: u64, control: bool, num: usize, holds: impl Fn(&Verdict) -> bool) -> f64 {
        let count = (0..num).filter(|&repetition| {
            let candidates = self.sweep(seeds, repetition);
            holds(&judge(&candidates, control.then_some(5)))
        });
        count.count() as f64 / num as f64
    }
}

fn judge(candidates: &[Candidate], control: Option<usize>) -> Verdict {
    let contest = Contest {
        better: Better::Lower,
        candidates,
        control,
        baseline: None,
        noun: "D",
    };
    Verdict::of(&contest).unwrap()
}

const NULL: Law = Law {
    means: [0.01; 6],
    scatter: [0.001; 6],
    shared: 0.002,
    heavy: None,
};

#[test]
fn of_one_law_nothing_can_be_told_apart_in_19_of_20_sweeps() {
    let uneven = [0.005, 0.002, 0.001, 0.001, 0.001, 0.001];
    for (name, law) in [
        ("one law", NULL),
        (
            "no shared effect",
            Law {
                shared: 0.0,
                ..NULL
            },
        ),
        (
            "D scatter differently",
            Law {
                scatter: uneven,
                ..NULL
            },
        ),
        (
            "heavy tails",
            Law {
                heavy: Some(3.0),
                ..NULL
            },
        ),
    ] {
        for (seeds, control) in [(3, true), (5, true), (5, false), (10, true)] {
            let got = law.part(seeds, control, 1000, |verdict| {
                verdict.finding == Finding::NotApart
            });
            // Two binomial standard errors below 0.95.
            assert!(
                got >= 0.936,
                "{name}, {seeds} seeds, control {control}: got {got}, want 0.95"
            );
        }
    }
}

#[test]
fn a_difference_that_should_be_seen_names_its_d_in_nine_of_ten_sweeps() {
    // Deviations of a difference are sqrt(2) times the scatter: D = 128 is ahead of every other by four of them at 5 seeds.
    let gap = 4.0 * 2f64.sqrt() * 0.001;
    let means = [0.03, 0.01 + gap, 0.01 + gap, 0.01, 0.01 + gap, 0.01 + gap];
    let law = Law { means, ..NULL };
    for (seeds, control) in [(5, true), (5, false), (10, true)] {
        let got = law.part(seeds, control, 1000, |v| {
            v.finding == Finding::Best && v.best == 3
        });
        assert!(
            got >= 0.9,
            "{seeds} seeds, control {control}: got {got}, want 0.9"
        );
        let wrong = law.part(seeds, control, 1000, |v| {
            v.finding == Finding::Best && v.best != 3
        });
        assert!(
            wrong <= 0.005,
            "{seeds} seeds: another D is named best in {wrong}"
        );
    }
}

#[test]
fn of_two_that_are_alike_neither_is_called_best() {
    // The hardest case of a choice: two at the front, all others far behind.
    let means = [0.1, 0.1, 0.01, 0.01, 0.1, 0.1];
    for (seeds, control) in [(3, true), (5, true), (5, false), (10, false)] {
        let got = Law { means, ..NULL }.part(seeds, control, 2000, |v| v.finding == Finding::Best);
        // Two binomial standard errors above 0.05.
        assert!(
            got <= 0.06,
            "{seeds} seeds, control {control}: got {got}, want 0.05"
        );
    }
}

#[test]
fn one_bad_d_is_told_apart_and_nothing_else_is() {
    let law = Law {
        means: [0.05, 0.01, 0.01, 0.01, 0.01, 0.01],
        ..NULL
    };
    let worse = |v: &Verdict| {
        v.finding
            == Finding::Apart {
                better: vec![],
                worse: vec![0],
            }
    };
    let got = law.part(5, true, 1000, worse);
    assert!(got >= 0.93, "got {got}, want 0.95");
}

fn candidate(label: &str, scores: &[f64]) -> Candidate {
    Candidate {
        label: label.to_string(),
        scores: (0..).zip(scores.iter().copied()).collect(),
    }
}

#[test]
fn no_number_of_seeds_shows_a_difference_that_is_none() {
    let control = candidate("D = ∞", &[0.97, 0.96, 0.98]);
    let equal = candidate("D = 2048", &[0.98, 0.97, 0.96]);
    let verdict = judge(&[equal, control], Some(1));
    assert_eq!(verdict.needed, None);
    assert_eq!(
        verdict.sentence,
        "no D can be told apart from D = ∞ with 3 seeds"
    );
}

#[test]
fn sentences_say_what_was_found() {
    let infinity = candidate("D = ∞", &[1.0, 1.1, 0.9, 1.05, 0.95]);
    let eight = candidate("D = 8", &[0.5, 0.61, 0.4, 0.52, 0.47]);
    let close = candidate("D = 8", &[0.98, 1.12, 0.88, 1.06, 0.93]);
    let bad = candidate("D = 1", &[3.0, 3.2, 2.9, 3.1, 2.8]);
    let single = [candidate("D = 1", &[1.0]), candidate("D = ∞", &[2.0])];
    let cases = [
        (
            vec![bad.clone(), eight, infinity.clone()],
            true,
            "D = 8 is best and beyond chance, with 5 seeds",
        ),
        (
            vec![close.clone(), infinity.clone()],
            true,
            "no D can be told apart from D = ∞ with 5 seeds; about 113 would be needed for a difference of 0.0060 \
             (that of D = 8)",
        ),
        (
            vec![bad.clone(), close.clone(), infinity.clone()],
            true,
            "no D is better than D = ∞ beyond chance with 5 seeds; D = 1 is worse; ",
        ),
        (
            vec![bad, close, infinity],
            false,
            "D = 1 is worse than D = 8 beyond chance; which is best cannot be told with 5 seeds",
        ),
        (
            single.to_vec(),
            true,
            "with 1 seed nothing can be told apart: at least 3 are needed",
        ),
    ];
    for (candidates, control, want) in cases {
        let control = control.then_some(candidates.len() - 1);
        let got = judge(&candidates, control).sentence;
        assert!(got.starts_with(want), "got  {got}\nwant {want}");
    }
}

#[test]
fn a_winner_is_better_than_the_baseline() {
    let candidates = [
        candidate("D = 8", &[0.5, 0.61, 0.4, 0.52]),
        candidate("D = ∞", &[1.0, 1.1, 0.9, 1.03]),
    ];
    for (baseline, want) in [
        (None, Some(0)),
        (Some(0.9), Some(0)),
        (Some(0.3), None),
        (Some(f64::NAN), Some(0)),
    ] {
        let contest = Contest {
            better: Better::Lower,
            candidates: &candidates,
            control: Some(1),
            baseline,
            noun: "D",
        };
        let verdict = Verdict::of(&contest).unwrap();
        assert_eq!(verdict.winner(), want, "baseline {baseline:?}");
        let says = verdict
            .sentence
            .contains("no D is better than the fitted Gaussian");
        assert_eq!(says, want.is_none(), "{}", verdict.sentence);
    }
}

#[test]
fn a_metric_that_is_better_when_higher_or_near_a_value_is_ranked_so() {
    let candidates = [
        candidate("D = 8", &[0.9, 0.91, 0.92]),
        candidate("D = ∞", &[1.3, 1.32, 1.35]),
    ];
    for (better, want) in [
        (Better::Higher, 1),
        (Better::Lower, 0),
        (Better::Near(1.0), 0),
        (Better::Near(1.4), 1),
    ] {
        let contest = Contest {
            better,
            candidates: &candidates,
            control: None,
            baseline: None,
            noun: "D",
        };
        let got = Verdict::of(&contest).unwrap().best;
        assert_eq!(got, want, "{}", better.in_words());
    }
}

#[test]
fn scores_that_no_seed_moves_are_no_evidence() {
    let candidates = [candidate("D = 8", &[0.5; 5]), candidate("D = ∞", &[1.0; 5])];
    let verdict = judge(&candidates, Some(1));
    assert_eq!(
        verdict.finding,
        Finding::TooFewSeeds,
        "{}",
        verdict.sentence
    );
}

#[test]
fn a_control_without_any_score_is_said() {
    let law = Law {
        means: [1.0; 6],
        scatter: [1.0; 6],
        shared: 0.0,
        heavy: None,
    };
    let mut candidates = law.sweep(5, 0);
    candidates[5].scores.clear();
    let got = judge(&candidates, Some(5)).sentence;
    let want = "D = ∞ has no score yet, so no D can be compared with it";
    assert_eq!(got, want);
}
