//! The tails of samples beside those of data, by column.

use candle_core::Tensor;
use serde::Serialize;

use super::bootstrap::Bootstrap;
use super::columns::Columns;
use super::hill::Tail;
use super::kurtosis::kurtosis;
use crate::samples::MetricError;

/// A statistic and its 95 % interval by the bootstrap over rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// The statistic; not a number where the column has no such tail.
    pub value: f64,
    /// Its interval, where it has one.
    pub interval: Option<[f64; 2]>,
}

/// The tails of a column, or the geometric means over all columns.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Tails {
    /// The kurtosis, 3 of a Gaussian.
    pub kurtosis: Measured,
    /// Hill's index of the lowest 5 %.
    pub hill_left: Measured,
    /// Hill's index of the highest 5 %.
    pub hill_right: Measured,
    /// Hill's index of the lowest 1 %.
    pub hill_left_99: Measured,
    /// Hill's index of the highest 1 %.
    pub hill_right_99: Measured,
}

/// A column's tails in samples and data.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ColumnTails {
    /// The column's name; `all` for the geometric means over all columns.
    pub name: String,
    /// Of the samples.
    pub samples: Tails,
    /// Of the data.
    pub data: Tails,
}

/// The tails of each column, samples beside data, and of all together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TailReport {
    /// The columns in their order.
    pub columns: Vec<ColumnTails>,
    /// The geometric means over the columns.
    pub all: ColumnTails,
}

impl TailReport {
    /// Measures `samples` `[n, ...]` and `data` `[m, ...]`, the columns of which are called `names`.
    ///
    /// # Errors
    ///
    /// Tables of different width, fewer than 100 rows, more than 1,024 columns, values that are not finite.
    pub fn measure(
        samples: &Tensor,
        data: &Tensor,
        names: &[String],
        seed: u64,
    ) -> Result<Self, MetricError> {
        let (samples, data) = Columns::read_pair(samples, data)?;
        let own = Tails::of(&samples, &Bootstrap::of(seed, "tails of samples"));
        let other = Tails::of(&data, &Bootstrap::of(seed, "tails of data"));
        let mut all = own
            .into_iter()
            .zip(other)
            .enumerate()
            .map(|(place, (samples, data))| {
                let number = || place.to_string();
                let name = names.get(place).cloned().unwrap_or_else(number);
                ColumnTails {
                    name,
                    samples,
                    data,
                }
            });
        let columns = all.by_ref().take(samples.columns.len()).collect();
        let all = all.next().expect("the means stand behind the columns");
        let name = "all".to_string();
        Ok(Self {
            columns,
            all: ColumnTails { name, ..all },
        })
    }
}

/// The statistics of a column.
const STATISTICS: usize = 5;

impl Tails {
    /// The tails of each column, and behind them their geometric means.
    fn of(table: &Columns, bootstrap: &Bootstrap) -> Vec<Self> {
        let values = statistics(table);
        let spreads = bootstrap.of_each(table, values.len(), statistics);
        let intervals = spreads
            .iter()
            .map(|found| found.map(|found| found.interval));
        let measured: Vec<Measured> = values
            .iter()
            .zip(intervals)
            .map(|(&value, interval)| Measured { value, interval })
            .collect();
        let tails = measured.chunks_exact(STATISTICS).map(|of| Self {
            kurtosis: of[0],
            hill_left: of[1],
            hill_right: of[2],
            hill_left_99: of[3],
            hill_right_99: of[4],
        });
        tails.collect()
    }
}

/// The statistics of each column, and behind them their geometric means over the columns that have them; not a number where there are
/// none.
fn statistics(table: &Columns) -> Vec<f64> {
    let tails = [Tail::Left95, Tail::Right95, Tail::Left99, Tail::Right99];
    let mut values = Vec::with_capacity((table.columns.len() + 1) * STATISTICS);
    for column in &table.columns {
        let found = [kurtosis(column)].into_iter();
        let found = found.chain(tails.map(|tail| tail.index(column)));
        values.extend(found.map(|value| value.unwrap_or(f64::NAN)));
    }
    let mean = |place: usize| {
        let of_columns = values.iter().skip(place).step_by(STATISTICS);
        let logarithms = of_columns.filter(|value| value.is_finite()).map(|v| v.ln());
        let logarithms: Vec<f64> = logarithms.collect();
        (logarithms.iter().sum::<f64>() / logarithms.len() as f64).exp()
    };
    let means: Vec<f64> = (0..STATISTICS).map(mean).collect();
    values.extend(means);
    values
}
