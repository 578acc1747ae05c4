//! What preconditioning needs to know of a data set.

use crate::dataset::Dataset;
use crate::error::DataError;

/// Moments of a data set, in units of the data, taken over all its images in `f64`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Statistics {
    /// `E|y|^2 / N`, the square of a `sigma_data` that does not presume centred data.
    pub second_moment: f64,
    /// The mean over all images and pixels.
    pub mean: f64,
    /// The standard deviation over all images and pixels (divisor: their number).
    pub std: f64,
    /// The effective dimension of `|y|^2`, infinite when every image has the same norm.
    ///
    /// ```text
    /// n_eff = 2 E[|y|^2]^2 / Var(|y|^2)
    /// ```
    ///
    /// It is `N` for white Gaussian data and lower for correlated pixels: a chi-square variable
    /// with `n_eff` degrees of freedom has the same ratio of variance to squared mean as `|y|^2`.
    pub n_eff: f64,
}

impl Statistics {
    /// Measures a data set, one that lies in files by the images that stand for all
    /// ([`Dataset::reference_images`]).
    ///
    /// # Errors
    ///
    /// Files that are not as they were, and failures of the tensor backend.
    pub fn measure(dataset: &Dataset) -> Result<Self, DataError> {
        let n = dataset.n();
        let squared_norm = |image: &[f32]| image.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>();
        let mut squared_norms = Vec::with_capacity(dataset.num_reference_images());
        let mut sum = 0.0;
        dataset.each(|values| {
            squared_norms.extend(values.chunks_exact(n).map(squared_norm));
            sum = values.iter().fold(sum, |sum, &v| sum + f64::from(v));
        })?;
        let num = (squared_norms.len() * n) as f64;
        let (mean, mut squares) = (sum / num, 0.0);
        dataset.each(|values| {
            let square = |&v: &f32| (f64::from(v) - mean).powi(2);
            squares = values
                .iter()
                .map(square)
                .fold(squares, |sum, square| sum + square);
        })?;
        Ok(Self::of(&squared_norms, n, mean, squares / num))
    }

    /// What the squared norms of images of `n` values, and the mean and variance of these, make.
    fn of(squared_norms: &[f64], n: usize, mean: f64, variance: f64) -> Self {
        let norm_mean = squared_norms.iter().sum::<f64>() / squared_norms.len() as f64;
        let norm_variance = squared_norms
            .iter()
            .map(|norm| (norm - norm_mean).powi(2))
            .sum::<f64>()
            / squared_norms.len() as f64;
        Self {
            second_moment: norm_mean / n as f64,
            mean,
            std: variance.sqrt(),
            // All-zero images would give 0/0; they too have one norm.
            n_eff: if norm_variance == 0.0 {
                f64::INFINITY
            } else {
                2.0 * norm_mean.powi(2) / norm_variance
            },
        }
    }
}
