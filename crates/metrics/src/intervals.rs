//! How far a mean or another statistic of few values is to be trusted.

use rand::RngExt;
use serde::Serialize;

use crate::stream::{Purpose, stream};
use crate::student::quantile;

/// The confidence of every interval here.
pub const CONFIDENCE: f64 = 0.95;

/// A mean over seeds with its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SeedMean {
    /// How many values.
    pub seeds: usize,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation, divisor `n - 1`; of one value there is none.
    pub deviation: Option<f64>,
    /// The 95 % interval of the mean; of one value there is none.
    pub interval: Option<[f64; 2]>,
}

impl SeedMean {
    /// The mean of `values` and its t-interval.
    ///
    /// ```text
    /// mean ± t(n - 1, 0.975) s / sqrt(n)
    /// ```
    ///
    /// Assumes that the values are independent and about normal: two of three seeds lie far apart by chance, which the
    /// quantile of t accounts for (4.30 for 3 seeds, 2.78 for 5) and `± 2 s / sqrt(n)` does not. It is the scatter of
    /// retraining and resampling; the held-out data are the same for all seeds, so theirs is not in it.
    ///
    /// `None` without values.
    pub fn of(values: &[f64]) -> Option<Self> {
        let seeds = values.len();
        if seeds == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / seeds as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (seeds > 1).then(|| (squares / (seeds - 1) as f64).sqrt());
        let interval = deviation.map(|deviation| {
            let tail = 0.5 * (1.0 + CONFIDENCE);
            let half = quantile(tail, seeds - 1) * deviation / (seeds as f64).sqrt();
            [mean - half, mean + half]
        });
        Some(Self {
            seeds,
            mean,
            deviation,
            interval,
        })
    }
}

/// The 95 % bootstrap interval of `statistic` over `num` items, by percentiles of `resamples` resamples.
///
/// `statistic` is given the indices of a resample, `num` of them drawn with replacement; values that are not finite are
/// left out. Resample `k` depends on `seed`, `num` and `k` only. For many items, such as samples: below some 20 the interval is
/// too narrow, and that of seeds is [`SeedMean`]'s. Efron 1979, "Bootstrap methods: another look at the jackknife".
///
/// `None` if fewer than half of the resamples have a finite value, or there are no items.
pub fn bootstrap_interval(
    num: usize,
    resamples: usize,
    seed: u64,
    statistic: impl Fn(&[usize]) -> f64,
) -> Option<[f64; 2]> {
    if num == 0 || resamples == 0 {
        return None;
    }
    let resample = |k| {
        let mut rng = stream(seed, Purpose::Bootstrap, k);
        let drawn: Vec<usize> = (0..num).map(|_| rng.random_range(0..num)).collect();
        statistic(&drawn)
    };
    let found = (0..resamples).map(resample);
    let mut found: Vec<f64> = found.filter(|value| value.is_finite()).collect();
    if 2 * found.len() < resamples {
        return None;
    }
    found.sort_unstable_by(f64::total_cmp);
    let at = |p: f64| {
        let place = p * (found.len() - 1) as f64;
        let (low, part) = (place.floor() as usize, place.fract());
        found[low] + part * (found[(low + 1).min(found.len() - 1)] - found[low])
    };
    let tail = 0.5 * (1.0 - CONFIDENCE);
    Some([at(tail), at(1.0 - tail)])
}

/// The standard error of a statistic from its values with each of `left_out.len()` equal parts of the data left out.
///
/// ```text
/// sqrt((g - 1)/g Σ (θ_(k) - mean θ)²),   g parts
/// ```
///
/// The jackknife (one item a part) or the grouped jackknife. Tukey 1958; Shao and Wu 1989.
/// `None` of fewer than 2 parts.
pub fn jackknife_error(left_out: &[f64]) -> Option<f64> {
    let parts = left_out.len() as f64;
    if left_out.len() < 2 {
        return None;
    }
    let mean = left_out.iter().sum::<f64>() / parts;
    let squares: f64 = left_out.iter().map(|value| (value - mean).powi(2)).sum();
    Some(((parts - 1.0) / parts * squares).sqrt())
}

#[cfg(test)]
mod tests {
    use rand_distr::StandardNormal;

    use super::*;

    fn normals(seed: u64, num: usize) -> Vec<f64> {
        let rng = stream(seed, Purpose::GaussianFit, 77);
        rng.sample_iter(StandardNormal).take(num).collect()
    }

    #[test]
    fn an_interval_of_five_seeds_is_that_of_the_formula() {
        let got = SeedMean::of(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        // s² = 10/4; t(4, 0.975) = 2.776445.
        let half = 2.776_445_105_198 * (2.5f64 / 5.0).sqrt();
        let [low, high] = got.interval.unwrap();
        for (got, want) in [(low, 3.0 - half), (high, 3.0 + half)] {
            assert!((got - want).abs() < 1e-9, "got {got}, want {want}");
        }
        assert_eq!(SeedMean::of(&[]), None);
        let one = SeedMean::of(&[2.0]).unwrap();
        assert_eq!((one.mean, one.deviation, one.interval), (2.0, None, None));
    }

    #[test]
    fn intervals_hold_the_truth_as_often_as_they_say() {
        let (repetitions, mut by_t, mut by_bootstrap) = (1000, 0, 0);
        for seed in 0..repetitions {
            let three = SeedMean::of(&normals(seed, 3)).unwrap().interval.unwrap();
            by_t += u64::from(three[0] < 0.0 && three[1] > 0.0);
            if seed < 300 {
                let values = normals(seed, 100);
                let mean = |of: &[usize]| of.iter().map(|&i| values[i]).sum::<f64>() / 100.0;
                let [low, high] = bootstrap_interval(100, 300, seed, mean).unwrap();
                by_bootstrap += u64::from(low < 0.0 && high > 0.0);
            }
        }
        // Four binomial standard errors: 0.028 of 1,000, 0.05 of 300; percentiles of 300 lose about 0.01.
        let (t, bootstrap) = (by_t as f64 / 1000.0, by_bootstrap as f64 / 300.0);
        assert!((t - 0.95).abs() < 0.028, "t: got {t}, want 0.95");
        assert!(
            (bootstrap - 0.94).abs() < 0.05,
            "bootstrap: got {bootstrap}, want 0.94"
        );
    }

    #[test]
    fn the_jackknife_of_a_mean_is_its_standard_error() {
        let values = normals(3, 50);
        let total: f64 = values.iter().sum();
        let left_out: Vec<f64> = values.iter().map(|value| (total - value) / 49.0).collect();
        let got = jackknife_error(&left_out).unwrap();
        let want = SeedMean::of(&values).unwrap().deviation.unwrap() / 50f64.sqrt();
        assert!((got - want).abs() < 1e-12, "got {got}, want {want}");
        assert_eq!(jackknife_error(&[1.0]), None);
    }
}
