//! Which point of a sweep is best, and whether chance explains it.

use serde::Serialize;

use crate::compare::{Comparison, SIGNIFICANCE, holm, seeds_needed};
use crate::intervals::SeedMean;
use crate::metric::Better;

mod sentence;
#[cfg(test)]
mod tests;

/// Points that are compared by one metric.
#[derive(Clone, Debug)]
pub struct Contest<'a> {
    /// Which way the metric is better.
    pub better: Better,
    /// The points, in the order of their listing; at least one.
    pub candidates: &'a [Candidate],
    /// The point that all others are compared with, named beforehand: D = ∞.
    pub control: Option<usize>,
    /// What a model without any structure reaches (a fitted Gaussian): a point that is no better is called best of nothing.
    pub baseline: Option<f64>,
    /// What a point is called: `D`, `setup`.
    pub noun: &'a str,
}

/// A point's scores.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// What it is called in a sentence, such as `D = 8`.
    pub label: String,
    /// Scores by seed, finite, each seed once.
    pub scores: Vec<(u64, f64)>,
}

/// A point beside the others.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Standing {
    /// What it is called.
    pub label: String,
    /// Its scores; `None` where it has none.
    pub mean: Option<SeedMean>,
    /// It less the control, where lower is better.
    pub with_control: Option<Comparison>,
    /// The p of that, corrected (Holm) for the number of points that are compared with the control.
    pub p_control: Option<f64>,
    /// It less the best, where lower is better.
    pub with_best: Option<Comparison>,
    /// The p of that, corrected (Holm) for all pairs of points, because the best was chosen by the same scores.
    pub p_best: Option<f64>,
}

/// What the scores show.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// The best is best beyond chance.
    Best,
    /// Some can be told from the control, or, without one, from the best.
    Apart {
        /// Those better than the control.
        better: Vec<usize>,
        /// Those worse than the control, or than the best.
        worse: Vec<usize>,
    },
    /// None can be told apart.
    NotApart,
    /// Too few seeds for any test.
    TooFewSeeds,
}

/// Seeds that would show a difference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Needed {
    /// About how many; `None` for more than [`MOST_SEEDS`](crate::MOST_SEEDS).
    pub seeds: Option<usize>,
    /// The difference.
    pub difference: f64,
    /// The point that it was found at.
    pub candidate: usize,
    /// What that one is compared with.
    pub with: usize,
}

/// Which point is best, and whether chance explains it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// The finding in one sentence, without a period.
    pub sentence: String,
    /// The finding.
    pub finding: Finding,
    /// The point of the best mean.
    pub best: usize,
    /// Whether even the best is no better than the baseline; unknown without one.
    pub loses_to_baseline: Option<bool>,
    /// About how many seeds would tell, where these do not.
    pub needed: Option<Needed>,
    /// Every point, in the order of the candidates.
    pub standings: Vec<Standing>,
}

impl Verdict {
    /// Compares the candidates; `None` if fewer than two have a score.
    ///
    /// A claim has to stand two tests, both of paired differences of the same seeds ([`Comparison`]):
    ///
    /// 1. *Told apart from the control*: p corrected by Holm for the number of points beside the control is at most 0.05.
    ///    Without a control every pair of points is in the family.
    /// 2. *Best*: told apart from the control (if it is the control itself: every other is), and ahead of every other point
    ///    at 0.05 two-sided. All have to be beaten, so no further correction is due (an intersection-union test, Berger
    ///    1982); and that the best was chosen by the same scores is paid for by the second side of the test, which makes
    ///    the gap to the runner-up the one that counts (Gutmann and Maymin 1987, "Is the selected population the best?").
    ///
    /// So where all points are of one law, anything at all is claimed in at most 1 of 20 sweeps. What is assumed is said at
    /// [`Comparison::of`]. The question is put to each metric by itself: of several metrics read the first.
    pub fn of(contest: &Contest<'_>) -> Option<Self> {
        let ranks: Vec<Vec<(u64, f64)>> =
            contest.candidates.iter().map(|c| contest.rank(c)).collect();
        let best = best_of(&ranks)?;
        let standings = standings(contest, &ranks, best);
        let finding = finding(contest, &standings, best);
        let baseline = contest.baseline.filter(|value| value.is_finite());
        let loses_to_baseline =
            baseline.map(|value| mean_of(&ranks[best]) >= Some(contest.better.rank(value)));
        let mut verdict = Self {
            sentence: String::new(),
            needed: needed(contest, &standings, &finding, best),
            finding,
            best,
            loses_to_baseline,
            standings,
        };
        verdict.sentence = sentence::of(contest, &verdict);
        Some(verdict)
    }

    /// The point that deserves a mark: best beyond chance, and better than the baseline.
    pub fn winner(&self) -> Option<usize> {
        let wins = self.finding == Finding::Best && self.loses_to_baseline != Some(true);
        wins.then_some(self.best)
    }
}

impl Contest<'_> {
    /// The candidate's scores where lower is better.
    fn rank(&self, candidate: &Candidate) -> Vec<(u64, f64)> {
        let scores = candidate.scores.iter();
        scores
            .map(|&(seed, value)| (seed, self.better.rank(value)))
            .collect()
    }
}

fn mean_of(ranks: &[(u64, f64)]) -> Option<f64> {
    let total: f64 = ranks.iter().map(|(_, rank)| rank).sum();
    (!ranks.is_empty()).then(|| total / ranks.len() as f64)
}

/// The point of the lowest mean; `None` unless two or more have one.
fn best_of(ranks: &[Vec<(u64, f64)>]) -> Option<usize> {
    let means = ranks.iter().enumerate();
    let means: Vec<(usize, f64)> = means
        .filter_map(|(i, ranks)| Some((i, mean_of(ranks)?)))
        .collect();
    if means.len() < 2 {
        return None;
    }
    let lowest = means.into_iter().min_by(|a, b| a.1.total_cmp(&b.1));
    lowest.map(|(index, _)| index)
}

fn standings(contest: &Contest<'_>, ranks: &[Vec<(u64, f64)>], best: usize) -> Vec<Standing> {
    let num = ranks.len();
    let with = |other: usize| -> Vec<Option<Comparison>> {
        let compared =
            (0..num).map(|i| (i != other).then(|| Comparison::of(&ranks[i], &ranks[other])));
        compared.map(Option::flatten).collect()
    };
    let with_control = contest.control.map_or(vec![None; num], with);
    let p_control = corrected(&with_control);
    let pairs: Vec<(usize, usize)> = (0..num).flat_map(|i| (0..i).map(move |j| (i, j))).collect();
    let of_pairs: Vec<_> = pairs
        .iter()
        .map(|&(i, j)| Comparison::of(&ranks[i], &ranks[j]))
        .collect();
    let p_pairs = corrected(&of_pairs);
    let with_best = with(best);
    let standing = |(index, candidate): (usize, &Candidate)| {
        let values: Vec<f64> = candidate.scores.iter().map(|(_, value)| *value).collect();
        let pair = (index.max(best), index.min(best));
        let p_best = pairs.iter().position(|other| *other == pair);
        Standing {
            label: candidate.label.clone(),
            mean: SeedMean::of(&values),
            with_control: with_control[index],
            p_control: p_control[index],
            with_best: with_best[index],
            p_best: p_best.and_then(|place| p_pairs[place]),
        }
    };
    contest
        .candidates
        .iter()
        .enumerate()
        .map(standing)
        .collect()
}

/// The corrected p of each comparison that there is.
fn corrected(family: &[Option<Comparison>]) -> Vec<Option<f64>> {
    let p: Vec<f64> = family.iter().flatten().map(|found| found.p).collect();
    let mut adjusted = holm(&p).into_iter();
    let each = family
        .iter()
        .map(|found| found.and_then(|_| adjusted.next()));
    each.collect()
}

fn finding(contest: &Contest<'_>, standings: &[Standing], best: usize) -> Finding {
    let tested = |s: &Standing| s.with_control.is_some() || s.with_best.is_some();
    if !standings.iter().any(tested) {
        return Finding::TooFewSeeds;
    }
    let significant = |p: Option<f64>| p.is_some_and(|p| p <= SIGNIFICANCE);
    let others = || {
        standings
            .iter()
            .enumerate()
            .filter(|(i, s)| *i != best && s.mean.is_some())
    };
    let ahead_of_all = others().all(|(_, s)| significant(s.with_best.map(|found| found.p)));
    let told = match contest.control {
        Some(control) if control == best => others().all(|(_, s)| significant(s.p_control)),
        Some(_) => significant(standings[best].p_control),
        None => others().any(|(_, s)| significant(s.p_best)),
    };
    if ahead_of_all && told {
        return Finding::Best;
    }
    let apart = |is_better: bool| -> Vec<usize> {
        let told = standings
            .iter()
            .enumerate()
            .filter(|(_, s)| match contest.control {
                Some(_) => {
                    let below = s.with_control.is_some_and(|found| found.difference < 0.0);
                    significant(s.p_control) && below == is_better
                }
                None => significant(s.p_best) && !is_better,
            });
        told.map(|(index, _)| index).collect()
    };
    let (better, worse) = (apart(true), apart(false));
    if better.is_empty() && worse.is_empty() {
        Finding::NotApart
    } else {
        Finding::Apart { better, worse }
    }
}

/// Means that are nearer to each other, relative to the scores, differ by rounding.
const ROUNDING: f64 = 1e-12;

/// The seeds that would show the difference between the best and the control; if they are one, that between the control
/// and the point nearest to it; without a control, that between the best and the runner-up. None where all are equal.
fn needed(
    contest: &Contest<'_>,
    standings: &[Standing],
    finding: &Finding,
    best: usize,
) -> Option<Needed> {
    let open = match finding {
        Finding::NotApart => true,
        Finding::Apart { better, .. } => better.is_empty(),
        Finding::Best | Finding::TooFewSeeds => false,
    };
    if !open {
        return None;
    }
    let with = contest.control.unwrap_or(best);
    let compared = |i: usize| match contest.control {
        Some(_) => standings[i].with_control,
        None => standings[i].with_best,
    };
    let known = || (0..standings.len()).filter(|&i| compared(i).is_some());
    let size = |i: usize| {
        let scores = [i, with].map(|i| &contest.candidates[i].scores);
        let sizes = scores.into_iter().flatten().map(|(_, score)| score.abs());
        sizes.filter(|size| size.is_finite()).fold(0.0, f64::max)
    };
    let distance = |i: usize| compared(i).map_or(f64::INFINITY, |found| found.difference.abs());
    let differs = |i: usize| compared(i).is_some() && distance(i) > ROUNDING * size(i);
    let candidate = match contest.control {
        Some(control) if control != best && differs(best) => best,
        _ => known()
            .filter(|&i| differs(i))
            .min_by(|&a, &b| distance(a).total_cmp(&distance(b)))?,
    };
    // Few seeds know a scatter badly: all comparisons of the family know it together.
    let squares: Vec<f64> = known()
        .filter_map(compared)
        .map(|found| found.deviation.powi(2))
        .collect();
    let deviation = (squares.iter().sum::<f64>() / squares.len() as f64).sqrt();
    let family = match contest.control {
        Some(_) => known().count(),
        None => 1,
    };
    let difference = compared(candidate)?.difference;
    Some(Needed {
        seeds: seeds_needed(deviation, difference, SIGNIFICANCE / family as f64),
        difference: difference.abs(),
        candidate,
        with,
    })
}
