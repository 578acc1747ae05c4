//! Scores of a model: metrics, the list of them, and the reference that a trained model has to beat.
//!
//! A [`Metric`] is one file and a line in [`METRICS`]; [`Scores::measure`] gives the values of a [`Selection`] in
//! order. So far:
//!
//! - [`EnergyDistance`]: tuning-free, sensitive to any difference in distribution, unbiased.
//! - [`SlicedWasserstein`]: the 2-Wasserstein distance of one-dimensional projections.
//! - [`DenoisingError`]: how well the model itself denoises held-out data.
//! - [`Nll`]: how likely the model finds held-out data.
//! - [`Precision`], [`Recall`], [`Density`], [`Coverage`]: who lies among whose nearest neighbours.
//! - [`FrechetDistance`], [`KernelDistance`]: FID and KID, of features or of the values themselves.
//! - [`Kurtosis`], [`Hill`], [`TailDistance`], [`CorrelationError`]: the tails of a table's columns.
//!
//! [`GaussianFit`] draws samples of the Gaussian that has the data's mean and covariance; [`nearest()`] finds the nearest
//! neighbour among other samples, and so whether a sample looks like its class.
//!
//! Between runs: [`Verdict`] says which point of a sweep is best and whether chance explains it, from [`SeedMean`]s and paired
//! [`Comparison`]s of the same seeds.
//!
//! All metrics work in the space of the tensors they are given (pixels, or features of a network), take
//! `[n, ...]` in `f32` or `f64`, compute in `f64` on the CPU in rayon's current pool, and give the
//! same bits whatever its number of threads.

mod balls;
mod compare;
mod coverage;
mod denoising_error;
mod density;
mod energy_distance;
mod frechet_distance;
mod gaussian_fit;
mod inputs;
mod intervals;
mod kernel_distance;
mod list;
mod matrix;
mod metric;
mod nearest;
mod nearest_training;
mod nll;
mod pairs;
mod precision;
mod recall;
mod samples;
mod scores;
mod sliced_wasserstein;
mod stream;
mod student;
mod tails;
mod verdict;

pub use balls::NEAREST;
pub use compare::{Comparison, FEWEST_SEEDS, MOST_SEEDS, POWER, SIGNIFICANCE, holm, seeds_needed};
pub use coverage::{Coverage, coverage};
pub use denoising_error::DenoisingError;
pub use density::{Density, density};
pub use energy_distance::{EnergyDistance, energy_distance, energy_distance_error, mean_distance};
pub use frechet_distance::{FrechetDistance, Moments, WIDEST, frechet_distance};
pub use gaussian_fit::GaussianFit;
pub use inputs::{HeldOutDenoiser, Inputs, Need};
pub use intervals::{CONFIDENCE, SeedMean, bootstrap_interval, jackknife_error};
pub use kernel_distance::{KernelDistance, kernel_distance};
pub use list::{METRICS, Selection, SelectionError, fewest_rows, is_of_tables, metric};
pub use metric::{Better, Description, Estimate, Metric};
pub use nearest::nearest;
pub use nll::Nll;
pub use precision::{Precision, precision};
pub use recall::{Recall, recall};
pub use samples::MetricError;
pub use scores::{Score, Scores, standard_error_of};
pub use sliced_wasserstein::{SlicedWasserstein, sliced_wasserstein, sliced_wasserstein_error};
pub use tails::{
    ColumnTails, CorrelationError, Hill, Kurtosis, Measured, Tail, TailDistance, TailReport, Tails,
    hill_index, kurtosis, rank_correlation, tail_distance,
};
pub use verdict::{Candidate, Contest, Finding, Needed, Standing, Verdict};
