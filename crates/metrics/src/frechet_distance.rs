//! The Fréchet distance between Gaussians fitted to two sets (Dowson and Landau 1982; on features of Inception-v3 the
//! FID of Heusel et al. 2017, arXiv:1706.08500).

use candle_core::Tensor;
use rayon::prelude::*;

use crate::inputs::{Inputs, Need};
use crate::matrix::{Matrix, multiply};
use crate::metric::{Better, Description, Estimate, Metric};
use crate::samples::{BLOCK, MetricError, Samples};

mod semidefinite;

pub(crate) use semidefinite::factor;
use semidefinite::trace_of_root;

/// Values a sample at most: a covariance of 4,096² numbers takes 134 MB, and its eigenvalues minutes.
pub const WIDEST: usize = 4096;

/// Mean and covariance of a set, which is all that the Fréchet distance sees of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// Samples.
    num: usize,
    /// The mean, N values.
    mean: Vec<f64>,
    /// The covariance, N by N, divisor `num - 1`.
    covariance: Vec<f64>,
}

impl Moments {
    /// Of `samples`, `[n, ...]` with N values each, `f32` or `f64`.
    ///
    /// # Errors
    ///
    /// Fewer than 2 samples, more than [`WIDEST`] values a sample, values that are not finite, another dtype, and failures
    /// of the tensor backend.
    pub fn of(samples: &Tensor) -> Result<Self, MetricError> {
        let samples = Samples::read("samples", samples)?;
        let dim = samples.dim;
        if dim > WIDEST {
            return Err(MetricError::TooWide { dim, most: WIDEST });
        }
        let mean = samples.mean();
        let mut covariance = vec![0.0; dim * dim];
        let mut centred = vec![0.0; BLOCK * dim];
        for block in samples.blocks() {
            samples.copy_centred(block.clone(), &mean, &mut centred);
            let rows =
                |first: usize, columns| Matrix::new(&centred[first..], block.len(), columns, dim);
            // Strips of rows of a fixed height, each by one thread.
            covariance
                .par_chunks_mut(BLOCK * dim)
                .enumerate()
                .for_each(|(strip, out)| {
                    let height = out.len() / dim;
                    multiply(
                        rows(strip * BLOCK, height).transposed(),
                        rows(0, dim),
                        out,
                        true,
                    );
                });
        }
        let scale = 1.0 / (samples.num as f64 - 1.0);
        covariance.iter_mut().for_each(|value| *value *= scale);
        Ok(Self {
            num: samples.num,
            mean,
            covariance,
        })
    }

    /// Those that were computed before: `mean` of N values, `covariance` of N by N, of `num` samples.
    ///
    /// # Errors
    ///
    /// Fewer than 2 samples, a covariance of another size or not symmetric, values that are not finite, N of 0 or beyond
    /// [`WIDEST`].
    pub fn new(num: usize, mean: Vec<f64>, covariance: Vec<f64>) -> Result<Self, MetricError> {
        let dim = mean.len();
        if num < 2 || dim == 0 || covariance.len() != dim * dim {
            let shape = vec![num, dim];
            return Err(MetricError::TooFew {
                set: "statistics",
                shape,
            });
        }
        if dim > WIDEST {
            return Err(MetricError::TooWide { dim, most: WIDEST });
        }
        let finite = mean
            .iter()
            .chain(&covariance)
            .position(|value| !value.is_finite());
        if let Some(element) = finite {
            let value = f64::NAN;
            return Err(MetricError::OutOfRange {
                set: "statistics",
                sample: 0,
                element,
                value,
            });
        }
        let largest = covariance.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        let off = |i: usize, j: usize| (covariance[i * dim + j] - covariance[j * dim + i]).abs();
        let unlike = (0..dim)
            .flat_map(|i| (0..=i).map(move |j| (i, j)))
            .find(|&(i, j)| off(i, j) > 1e-6 * largest || covariance[i * dim + i] < 0.0);
        if let Some((i, j)) = unlike {
            return Err(MetricError::NotACovariance { row: i, column: j });
        }
        Ok(Self {
            num,
            mean,
            covariance,
        })
    }

    /// Number of samples.
    pub fn num(&self) -> usize {
        self.num
    }

    /// The mean, N values.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// The covariance, N by N, row by row.
    pub fn covariance(&self) -> &[f64] {
        &self.covariance
    }
}

/// The squared Fréchet distance between the Gaussians of two sets.
///
/// ```text
/// |m_1 - m_2|² + tr C_1 + tr C_2 - 2 tr (C_1 C_2)^(1/2)
/// ```
///
/// The trace is that of the positive semidefinite `(A^T C_2 A)^(1/2)` with `C_1 = A A^T`, whose eigenvalues are those of
/// `C_1 C_2`: real and exact for covariances of any rank, where a root of the product itself is neither. `A` is of the set
/// with fewer samples. The value grows as samples become fewer: compare equal numbers only.
///
/// # Errors
///
/// Statistics of different dimension.
pub fn frechet_distance(a: &Moments, b: &Moments) -> Result<f64, MetricError> {
    let (x, y) = (a.mean.len(), b.mean.len());
    if x != y {
        return Err(MetricError::Dimension { x, y });
    }
    let means: f64 = a
        .mean
        .iter()
        .zip(&b.mean)
        .map(|(a, b)| (a - b).powi(2))
        .sum();
    let trace = |moments: &Moments| moments.covariance.iter().step_by(x + 1).sum::<f64>();
    let (few, many) = if a.num <= b.num { (a, b) } else { (b, a) };
    let root = trace_of_root(&few.covariance, &many.covariance, x);
    Ok(means + trace(a) + trace(b) - 2.0 * root)
}

/// [`frechet_distance`] of the samples from the held-out data, or of their features.
pub struct FrechetDistance;

impl Metric for FrechetDistance {
    fn description(&self) -> Description {
        Description {
            name: "frechet_distance",
            label: "Fréchet distance",
            short: "Fréchet d.",
            unit: "squared units of the data",
            meaning: "squared distance between the Gaussians with the means and covariances of samples and held-out \
                      data (FID where the values are Inception's features); it grows as samples become fewer",
            better: Better::Lower,
            across_d: true,
        }
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Features]
    }

    fn evaluate(&self, inputs: &Inputs<'_>) -> Result<Estimate, MetricError> {
        let [samples, data] = inputs.features()?;
        Ok(frechet_distance(&Moments::of(samples)?, &Moments::of(data)?)?.into())
    }
}
