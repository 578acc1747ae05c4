//! What tables are compared by where it is rare: the tails of their columns.
//!
//! Every metric here is a function of columns that does not change when a column is shifted or scaled, so that it is the same
//! of standardised rows and of rows in a table's own units. Each has an error and an interval by the bootstrap over rows.

mod bootstrap;
mod columns;
mod correlation;
mod hill;
mod kurtosis;
mod report;
mod tail_distance;

use crate::inputs::Inputs;
use crate::metric::{Estimate, Metric};
use crate::samples::MetricError;

use bootstrap::Bootstrap;
use columns::Columns;

pub use columns::FEWEST_ROWS;
pub use correlation::{CorrelationError, rank_correlation};
pub use hill::{Hill, Tail, hill_index};
pub use kurtosis::{Kurtosis, kurtosis};
pub use report::{ColumnTails, Measured, TailReport, Tails};
pub use tail_distance::{TailDistance, tail_distance};

/// `statistic` of samples and held-out data, and its standard error by the bootstrap over the rows of both.
fn of_both(
    metric: &dyn Metric,
    inputs: &Inputs<'_>,
    statistic: impl Fn(&Columns, &Columns) -> f64 + Sync,
) -> Result<Estimate, MetricError> {
    let (samples, held_out) = (inputs.samples()?, inputs.held_out()?);
    let (samples, held_out) = Columns::read_pair(samples, held_out)?;
    let name = metric.description().name;
    let bootstrap = Bootstrap::of(inputs.seed, name);
    let found = match inputs.resample {
        true => bootstrap.of_pair(&samples, &held_out, &statistic),
        false => None,
    };
    Ok(Estimate {
        value: statistic(&samples, &held_out),
        standard_error: found.map(|found| found.deviation),
    })
}

/// The geometric mean over columns of what `of_column` says of the samples over what it says of the data; columns of which it says
/// nothing in the data are left out. Not a number if those are all. `lightest` is the ratio of samples that have no tail.
fn mean_ratio(
    (samples, data): (&Columns, &Columns),
    of_column: impl Fn(&[f64]) -> Option<f64>,
    lightest: f64,
) -> f64 {
    let pairs = samples.columns.iter().zip(&data.columns);
    let ratios = pairs.filter_map(|(samples, data)| {
        let data = of_column(data)?;
        // Samples without a tail where the data have one have the lightest there is.
        Some(of_column(samples).map_or(lightest.ln(), |own| (own / data).ln()))
    });
    let ratios: Vec<f64> = ratios.collect();
    (ratios.iter().sum::<f64>() / ratios.len() as f64).exp()
}
