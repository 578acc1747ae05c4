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
        let tails = |name: &str, samples: &Columns, data: &Columns| ColumnTails {
            name: name.to_string(),
            samples: Tails::of(samples, seed, &format!("samples {name}")),
            data: Tails::of(data, seed, &format!("data {name}")),
        };
        let columns = (0..samples.columns.len()).map(|place| {
            let number = place.to_string();
            let name = names.get(place).unwrap_or(&number);
            tails(name, &samples.only(place), &data.only(place))
        });
        Ok(Self {
            columns: columns.collect(),
            all: tails("all", &samples, &data),
        })
    }
}

impl Tails {
    fn of(table: &Columns, seed: u64, what: &str) -> Self {
        let measured = |name: &str, of_column: &(dyn Fn(&[f64]) -> Option<f64> + Sync)| {
            let statistic = |table: &Columns| geometric_mean(table, of_column);
            let bootstrap = Bootstrap::of(seed, &format!("{name} of {what}"));
            Measured {
                value: statistic(table),
                interval: bootstrap
                    .of_one(table, statistic)
                    .map(|found| found.interval),
            }
        };
        let index = |name: &str, tail: Tail| measured(name, &|column| tail.index(column));
        Self {
            kurtosis: measured("kurtosis", &kurtosis),
            hill_left: index("hill_left", Tail::Left95),
            hill_right: index("hill_right", Tail::Right95),
            hill_left_99: index("hill_left_99", Tail::Left99),
            hill_right_99: index("hill_right_99", Tail::Right99),
        }
    }
}

/// Over the columns that have the statistic; not a number if none has.
fn geometric_mean(table: &Columns, of_column: impl Fn(&[f64]) -> Option<f64>) -> f64 {
    let found = table.columns.iter().filter_map(|column| of_column(column));
    let logarithms: Vec<f64> = found.map(f64::ln).collect();
    (logarithms.iter().sum::<f64>() / logarithms.len() as f64).exp()
}
