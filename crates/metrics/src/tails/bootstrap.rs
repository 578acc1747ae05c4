//! How much a statistic of rows moves when others of them had been drawn (Efron 1979, "Bootstrap methods: another look at the
//! jackknife").

use rand::RngExt;
use rayon::prelude::*;

use super::columns::Columns;
use crate::intervals::CONFIDENCE;
use crate::stream::{Purpose, stream};

/// Resamples: the deviation of their values is right to about 5 %.
const RESAMPLES: usize = 200;
/// Values above which resampling would take minutes, and errors are small.
const MOST_VALUES: usize = 1 << 22;

/// Resamples of rows, drawn with replacement; resample `k` depends on the seed, the number of rows and `k` only.
pub(crate) struct Bootstrap {
    seed: u64,
}

/// What the resamples show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    /// The standard deviation of the statistic.
    pub deviation: f64,
    /// Its 95 % interval, by percentiles.
    pub interval: [f64; 2],
}

impl Bootstrap {
    /// Resamples for the statistic called `name`.
    pub fn of(seed: u64, name: &str) -> Self {
        // A stream of its own for each statistic, as FNV-1a tells names apart.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self { seed: seed ^ hash }
    }

    /// The spread of a statistic of two tables, the rows of both drawn anew; `None` of tables too large for it, or if fewer than
    /// half of the resamples have a finite value.
    pub fn of_pair(
        &self,
        x: &Columns,
        y: &Columns,
        statistic: impl Fn(&Columns, &Columns) -> f64 + Sync,
    ) -> Option<Spread> {
        if x.len() + y.len() > MOST_VALUES {
            return None;
        }
        let value = |k: usize| {
            let (x, y) = (self.resample(x, 2 * k), self.resample(y, 2 * k + 1));
            statistic(&x, &y)
        };
        Spread::of((0..RESAMPLES).into_par_iter().map(value).collect())
    }

    /// As [`Self::of_pair`], of each of several statistics of one table, under the same resamples.
    pub fn of_each(
        &self,
        x: &Columns,
        num: usize,
        statistics: impl Fn(&Columns) -> Vec<f64> + Sync,
    ) -> Vec<Option<Spread>> {
        if x.len() > MOST_VALUES {
            return vec![None; num];
        }
        let values = |k: usize| statistics(&self.resample(x, 2 * k));
        let found: Vec<Vec<f64>> = (0..RESAMPLES).into_par_iter().map(values).collect();
        let of = |place: usize| Spread::of(found.iter().map(|values| values[place]).collect());
        (0..num).map(of).collect()
    }

    fn resample(&self, x: &Columns, index: usize) -> Columns {
        let mut rng = stream(self.seed, Purpose::Bootstrap, index);
        let rows: Vec<usize> = (0..x.num).map(|_| rng.random_range(0..x.num)).collect();
        x.pick(&rows)
    }
}

impl Spread {
    /// What the values of [`RESAMPLES`] resamples show.
    fn of(mut found: Vec<f64>) -> Option<Self> {
        found.retain(|value| value.is_finite());
        if 2 * found.len() < RESAMPLES {
            return None;
        }
        found.sort_unstable_by(f64::total_cmp);
        let num = found.len() as f64;
        let mean = found.iter().sum::<f64>() / num;
        let squares: f64 = found.iter().map(|value| (value - mean).powi(2)).sum();
        let at = |p: f64| {
            let place = p * (num - 1.0);
            let (low, part) = (place as usize, place.fract());
            found[low] + part * (found[(low + 1).min(found.len() - 1)] - found[low])
        };
        let tail = 0.5 * (1.0 - CONFIDENCE);
        Some(Self {
            deviation: (squares / (num - 1.0)).sqrt(),
            interval: [at(tail), at(1.0 - tail)],
        })
    }
}
