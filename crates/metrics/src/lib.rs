//! Distances between sample sets, and the reference a trained model has to beat.
//!
//! - [`energy_distance`]: tuning-free, sensitive to any difference in distribution, unbiased.
//! - [`sliced_wasserstein`]: the 2-Wasserstein distance of one-dimensional projections.
//! - [`GaussianFit`]: samples of the Gaussian that has the data's mean and covariance.
//!
//! All work in the space of the tensors they are given (pixels, or features of a network), take
//! `[n, ...]` in `f32` or `f64`, compute in `f64` on the CPU in rayon's current pool, and give the
//! same bits whatever its number of threads.

mod energy_distance;
mod gaussian_fit;
mod matrix;
mod samples;
mod sliced_wasserstein;
mod stream;

pub use energy_distance::energy_distance;
pub use gaussian_fit::GaussianFit;
pub use samples::MetricError;
pub use sliced_wasserstein::sliced_wasserstein;
