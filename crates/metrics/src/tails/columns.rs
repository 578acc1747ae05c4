//! Samples as columns.

use candle_core::Tensor;

use crate::samples::{MetricError, Samples};

/// Rows below which tails say nothing.
pub const FEWEST_ROWS: usize = 100;
/// Columns above which the data are hardly a table.
const MOST_COLUMNS: usize = 1024;

/// The columns of a table, each with the same number of rows.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    pub num: usize,
    pub columns: Vec<Vec<f64>>,
}

impl Columns {
    /// Reads the two tables of a comparison, `[n, ...]` and `[m, ...]`.
    pub fn read_pair(x: &Tensor, y: &Tensor) -> Result<(Self, Self), MetricError> {
        let (x, y) = Samples::read_pair(x, y)?;
        Ok((Self::of("x", &x)?, Self::of("y", &y)?))
    }

    fn of(set: &'static str, samples: &Samples) -> Result<Self, MetricError> {
        let (num, dim) = (samples.num, samples.dim);
        if num < FEWEST_ROWS || dim > MOST_COLUMNS {
            return Err(MetricError::NoTable {
                set,
                rows: num,
                columns: dim,
                fewest: FEWEST_ROWS,
                most: MOST_COLUMNS,
            });
        }
        let mut columns = vec![Vec::with_capacity(num); dim];
        let (origin, mut row) = (vec![0.0; dim], vec![0.0; dim]);
        for i in 0..num {
            samples.copy_centred(i..i + 1, &origin, &mut row);
            for (column, value) in columns.iter_mut().zip(&row) {
                column.push(*value);
            }
        }
        Ok(Self { num, columns })
    }

    /// The rows at `rows`, in that order.
    pub fn pick(&self, rows: &[usize]) -> Self {
        let pick = |column: &Vec<f64>| rows.iter().map(|&row| column[row]).collect();
        Self {
            num: rows.len(),
            columns: self.columns.iter().map(pick).collect(),
        }
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.num * self.columns.len()
    }
}

/// The median; reorders `values`.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    let (middle, is_odd) = (values.len() / 2, !values.len().is_multiple_of(2));
    let (below, &mut upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    if is_odd {
        return upper;
    }
    let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    0.5 * (lower + upper)
}
