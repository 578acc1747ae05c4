//! Paired comparisons between points of a sweep that share their seeds.

use serde::Serialize;

use crate::intervals::{CONFIDENCE, SeedMean};
use crate::student::{quantile, two_sided};

/// What may be wrongly claimed: one family of comparisons in 20.
pub const SIGNIFICANCE: f64 = 1.0 - CONFIDENCE;

/// How often a difference is to be seen by the number of seeds that is named for it.
pub const POWER: f64 = 0.9;

/// The fewest pairs that a test is made of: with 2 the quantile is 12.7 and one accident of the two decides.
pub const FEWEST_SEEDS: usize = 3;

/// More seeds than this are not named: nobody runs them.
pub const MOST_SEEDS: usize = 1000;

/// One point less another over the seeds that both have.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Pairs.
    pub seeds: usize,
    /// Mean difference; below 0 the first is better.
    pub difference: f64,
    /// Standard deviation of the differences.
    pub deviation: f64,
    /// The 95 % interval of the mean difference, not corrected.
    pub interval: [f64; 2],
    /// `P(|T| >= |t|)` were there no difference, two-sided, not corrected.
    pub p: f64,
}

impl Comparison {
    /// The paired t-test of `a - b`, scores on a scale where lower is better, by seed.
    ///
    /// ```text
    /// t = mean(a_s - b_s) sqrt(n) / s,   n - 1 degrees of freedom
    /// ```
    ///
    /// Assumes that differences of one seed are independent of those of another and about normal; not that all D scatter
    /// alike, which they do not. What a seed does to all D alike (order of the data, initial weights, latents) cancels.
    /// A permutation of signs would assume less, but has no p below 2/2^n: 0.06 for 5 seeds, so that it could never tell
    /// anything with the seeds that people have.
    ///
    /// `None` for fewer than [`FEWEST_SEEDS`] pairs, and where neither score depends on the seed: equal runs are one run.
    pub fn of(a: &[(u64, f64)], b: &[(u64, f64)]) -> Option<Self> {
        let pairs: Vec<(f64, f64)> = a
            .iter()
            .filter_map(|(seed, a)| {
                let (_, b) = b.iter().find(|(other, _)| other == seed)?;
                Some((*a, *b))
            })
            .collect();
        let seeds = pairs.len();
        if seeds < FEWEST_SEEDS || pairs.iter().all(|pair| *pair == pairs[0]) {
            return None;
        }
        let differences: Vec<f64> = pairs.iter().map(|(a, b)| a - b).collect();
        let mean = SeedMean::of(&differences)?;
        // Below this a scatter is that of rounding.
        let size = pairs
            .iter()
            .map(|(a, b)| a.abs().max(b.abs()))
            .fold(0.0, f64::max);
        let deviation = mean.deviation?.max(1e-13 * size);
        let t = mean.mean * (seeds as f64).sqrt() / deviation;
        Some(Self {
            seeds,
            difference: mean.mean,
            deviation,
            interval: mean.interval?,
            p: if mean.mean == 0.0 {
                1.0
            } else {
                two_sided(t, seeds - 1)
            },
        })
    }
}

/// Holm's correction of a family of p-values, in their order: each may be compared with [`SIGNIFICANCE`] itself.
///
/// ```text
/// p'_(k) = max over j <= k of min(1, (m - j + 1) p_(j)),   p_(1) <= ... <= p_(m)
/// ```
///
/// Whatever their dependence, a true hypothesis of the family is rejected with at most that probability. Holm 1979.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut adjusted = vec![1.0; p.len()];
    let mut highest: f64 = 0.0;
    for (place, index) in order.into_iter().enumerate() {
        highest = highest.max((p.len() - place) as f64 * p[index]).min(1.0);
        adjusted[index] = highest;
    }
    adjusted
}

/// How many seeds a paired t-test at `significance` needs to see `difference` in nine of ten sweeps.
///
/// ```text
/// smallest n with  |difference| sqrt(n) / s >= t(n - 1, 1 - significance/2) + t(n - 1, 0.9)
/// ```
///
/// `deviation` is that of the differences of pairs, itself known from few seeds, so that the answer is rough: with 5, it
/// may be a third or three times of it. `None` above [`MOST_SEEDS`].
pub fn seeds_needed(deviation: f64, difference: f64, significance: f64) -> Option<usize> {
    let size = difference.abs() / deviation;
    let is_enough = |n: usize| {
        let degrees = n - 1;
        let needed = quantile(1.0 - 0.5 * significance, degrees) + quantile(POWER, degrees);
        size * (n as f64).sqrt() >= needed
    };
    if !is_enough(MOST_SEEDS) {
        return None;
    }
    // The condition is monotone in n.
    let (mut low, mut high) = (FEWEST_SEEDS - 1, MOST_SEEDS);
    while high - low > 1 {
        let middle = (low + high) / 2;
        if is_enough(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Some(high)
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use rand_distr::StandardNormal;

    use super::*;
    use crate::stream::{Purpose, stream};

    fn by_seed(values: &[f64]) -> Vec<(u64, f64)> {
        (0..).zip(values.iter().copied()).collect()
    }

    #[test]
    fn a_paired_test_is_that_of_the_formula() {
        let (a, b) = (
            by_seed(&[1.0, 2.0, 4.0, 7.0]),
            by_seed(&[2.0, 4.0, 5.0, 9.0]),
        );
        let got = Comparison::of(&a, &b).unwrap();
        // Differences -1, -2, -1, -2: mean -1.5, s = 1/sqrt(3), t = -3 sqrt(3), 3 degrees of freedom, whose tail is
        // 1/2 - (atan(u) + u/(1+u²))/pi with u = t/sqrt(3) = 3.
        let want = 1.0 - 2.0 * (3f64.atan() + 0.3) / std::f64::consts::PI;
        assert!((got.p - want).abs() < 1e-12, "got {}, want {want}", got.p);
        assert_eq!((got.seeds, got.difference), (4, -1.5));
    }

    #[test]
    fn seeds_are_paired_by_their_number_and_two_are_too_few() {
        let a = [(7, 1.0), (3, 2.5), (9, 3.0), (1, 8.0)];
        let b = [(1, 7.0), (9, 5.0), (7, 2.0), (4, 0.0)];
        let got = Comparison::of(&a, &b).unwrap();
        // Seeds 7, 9, 1: -1, -2, 1.
        assert_eq!(got.seeds, 3);
        assert!(
            (got.difference + 2.0 / 3.0).abs() < 1e-12,
            "got {}",
            got.difference
        );
        assert_eq!(Comparison::of(&a[..2], &b), None);
        let equal = by_seed(&[0.5, 0.5, 0.5, 0.5]);
        let other = by_seed(&[0.6, 0.6, 0.6, 0.6]);
        assert_eq!(
            Comparison::of(&equal, &other),
            None,
            "equal runs are one run"
        );
    }

    #[test]
    fn holm_multiplies_by_what_is_left() {
        // m = 4: 4 * 0.01, 3 * 0.02, 2 * 0.03 (no less than the one before), 0.5.
        let got = holm(&[0.03, 0.01, 0.5, 0.02]);
        for (got, want) in got.into_iter().zip([0.06, 0.04, 0.5, 0.06]) {
            assert!((got - want).abs() < 1e-15, "got {got}, want {want}");
        }
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }

    #[test]
    fn the_seeds_that_are_named_show_the_difference_in_nine_of_ten() {
        for (size, significance) in [(1.0, 0.05), (1.5, 0.01), (0.5, 0.05)] {
            let num = seeds_needed(1.0, size, significance).unwrap();
            let power = |num: usize| {
                let seen = (0..1000).filter(|&k| {
                    let rng = stream(5, Purpose::GaussianFit, k);
                    let drawn = rng.sample_iter(StandardNormal).take(num);
                    let a: Vec<f64> = drawn.map(|v: f64| size + v).collect();
                    let found = Comparison::of(&by_seed(&a), &by_seed(&vec![0.0; num]));
                    found.is_some_and(|found| found.p <= significance)
                });
                seen.count() as f64 / 1000.0
            };
            // The formula takes a central t for one that is not, which errs by up to a seed or two.
            let (got, below) = (power(num), power(num - 3));
            assert!(got > 0.87, "{size}: {num} seeds, got {got}, want 0.9");
            assert!(
                below < 0.9,
                "{size}: {} seeds already show {below}",
                num - 3
            );
        }
        assert_eq!(seeds_needed(1.0, 1e-3, 0.05), None);
        assert_eq!(seeds_needed(1.0, 0.0, 0.05), None);
    }
}
