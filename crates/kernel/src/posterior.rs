//! The exact posterior of a finite data set: a denoiser without a network.

mod gradient;
mod likelihood;
mod points;
mod product;
mod real;
mod stream;

use candle_core::{DType, Tensor, WithDType};

use crate::{ConditionSpec, Denoiser, Dimension, DimensionError, Pullback, Query};
use gradient::{Gradient, posterior_gradient};
use points::{Points, with_values};
use stream::posterior_mean;

/// A data set without a posterior, or samples that do not fit it.
#[derive(Debug, thiserror::Error)]
pub enum PosteriorError {
    /// The data hold no point, or points without values.
    #[error("data must have shape [points, ...] with at least one value, got shape {0:?}")]
    NoData(Vec<usize>),
    /// A point is NaN, infinite or too large for its square.
    #[error("data[{0}] must be finite with a finite squared norm")]
    NotFinite(usize),
    /// Neither single nor double precision.
    #[error("dtype must be f32 or f64, got {}", .0.as_str())]
    DType(DType),
    /// D is not positive.
    #[error(transparent)]
    Dimension(#[from] DimensionError),
    /// The samples have another size than the data.
    #[error("x must have n = {n} values per sample, as the data have, got shape {shape:?}")]
    SampleSize {
        /// Values of a data point.
        n: usize,
        /// The refused shape.
        shape: Vec<usize>,
    },
    /// There is not one noise level for each sample.
    #[error("sigma must have one entry for each of the {batch} samples, got {got}")]
    BatchSize {
        /// Samples in the batch.
        batch: usize,
        /// Noise levels found.
        got: usize,
    },
    /// A noise level is negative or not finite.
    #[error("sigma[{index}] must be a finite number of at least 0, got {value}")]
    Sigma {
        /// Position in the batch.
        index: usize,
        /// The refused noise level.
        value: f64,
    },
    /// The tensor backend failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

impl From<PosteriorError> for candle_core::Error {
    fn from(error: PosteriorError) -> Self {
        match error {
            PosteriorError::Tensor(error) => error,
            other => Self::wrap(other),
        }
    }
}

/// The exact denoiser of a finite data set `{y_i}`, for any D in (0, ∞].
///
/// ```text
/// E[y|x] = Σ w_i y_i,   Σ w_i = 1
/// ln w_i = -(N+D)/2 ln(1 + |x-y_i|²/(D sigma²)) + const,   -|x-y_i|²/(2 sigma²) + const at D = ∞
/// ```
///
/// It is what a perfectly trained network would return on this data set. Distances and means are
/// matrix products over blocks of the data with a running log-sum-exp: beside the data, which are
/// read in place, memory holds a fixed number of blocks, whatever the batch.
///
/// Products are computed in the dtype of `x`, about a common centre of the data; weights in `f64`.
/// The work is shared among the threads of the current rayon pool, and the result has the same bits
/// for any number of them.
///
/// At `sigma = 0` and at extreme `x` it gives the limits of the formula, never NaN: the nearest
/// point (the mean of the nearest points, if several are equally near) at D = ∞ or on a point, the
/// weights `|x-y_i|^-(N+D)` elsewhere.
#[derive(Clone, Debug)]
pub struct ExactPosterior {
    points: Points,
    d: Dimension,
}

impl ExactPosterior {
    /// The posterior under `data` `[points, ...]`, `f32` or `f64`, each point equally likely.
    ///
    /// Data on the CPU that lie in one piece are shared with the tensor, not copied.
    ///
    /// # Errors
    ///
    /// [`PosteriorError`] for data without values, of another dtype, or not finite, and for a `d`
    /// that is not positive.
    pub fn new(data: &Tensor, d: Dimension) -> Result<Self, PosteriorError> {
        let d = Dimension::new(d.value())?;
        let points = Points::new(data)?;
        Ok(Self { points, d })
    }

    /// The data dimension N.
    #[must_use]
    pub fn n(&self) -> usize {
        self.points.n()
    }

    /// The number of extra coordinates D.
    #[must_use]
    pub fn d(&self) -> Dimension {
        self.d
    }

    /// `E[y|x]` of a batch `x` `[B, ...]` at noise levels `sigma` `[B]`, in units of the data.
    ///
    /// Returns the shape, dtype and device of `x`. A sample that holds a NaN gives NaN; the others
    /// of its batch are not touched by it.
    ///
    /// # Errors
    ///
    /// [`PosteriorError`] on unlike sizes, a negative or non-finite sigma and another dtype.
    pub fn mean(&self, x: &Tensor, sigma: &[f64]) -> Result<Tensor, PosteriorError> {
        self.check(x, sigma)?;
        let flat = x.flatten_all()?;
        let mean = with_values!(self.points.data(), y => match x.dtype() {
            DType::F32 => {
                let values = flat.to_vec1::<f32>()?;
                let mean = posterior_mean(&self.points, y, self.d, &values, sigma);
                Tensor::from_vec(mean, flat.dims(), x.device())?
            }
            DType::F64 => {
                let values = flat.to_vec1::<f64>()?;
                let mean = posterior_mean(&self.points, y, self.d, &values, sigma);
                Tensor::from_vec(mean, flat.dims(), x.device())?
            }
            other => return Err(PosteriorError::DType(other)),
        });
        Ok(mean.reshape(x.dims())?)
    }

    /// As [`Self::mean`], with `v` `[B, ...]` of the shape and dtype of `x` taken back through it.
    ///
    /// ```text
    /// v^T J = Σ w_i v·(y_i - E[y|x]) d ln w_i/dx,   d ln w_i/dx = (y_i - x) (N+D)/(|x-y_i|² + D sigma²)
    /// ```
    ///
    /// with `1/sigma²` for the quotient at D = ∞; and alike by sigma. Where `sigma = 0` leaves one point, both
    /// are 0.
    fn gradient(&self, x: &Tensor, sigma: &[f64], v: &Tensor) -> Result<Pullback, PosteriorError> {
        self.check(x, sigma)?;
        let (like, flat, v) = (x, x.flatten_all()?, v.flatten_all()?);
        with_values!(self.points.data(), y => match x.dtype() {
            DType::F32 => {
                let (x, v) = (flat.to_vec1::<f32>()?, v.to_vec1::<f32>()?);
                shaped(posterior_gradient(&self.points, y, self.d, &x, sigma, &v), like)
            }
            DType::F64 => {
                let (x, v) = (flat.to_vec1::<f64>()?, v.to_vec1::<f64>()?);
                shaped(posterior_gradient(&self.points, y, self.d, &x, sigma, &v), like)
            }
            other => Err(PosteriorError::DType(other)),
        })
    }

    fn check(&self, x: &Tensor, sigma: &[f64]) -> Result<(), PosteriorError> {
        let (batch, n) = (x.dims().first().copied().unwrap_or(0), self.n());
        if x.rank() == 0 || x.elem_count() != batch * n {
            let shape = x.dims().to_vec();
            return Err(PosteriorError::SampleSize { n, shape });
        }
        if sigma.len() != batch {
            let got = sigma.len();
            return Err(PosteriorError::BatchSize { batch, got });
        }
        let refused = sigma.iter().position(|s| !(s.is_finite() && *s >= 0.0));
        match refused {
            Some(index) => {
                let value = sigma[index];
                Err(PosteriorError::Sigma { index, value })
            }
            None => Ok(()),
        }
    }
}

/// Derivatives of the shape of `x`, beside it.
fn shaped<T: WithDType>(
    Gradient { mean, x, sigma }: Gradient<T>,
    like: &Tensor,
) -> Result<Pullback, PosteriorError> {
    Ok(Pullback {
        denoised: Tensor::from_vec(mean, like.dims(), like.device())?,
        x: Tensor::from_vec(x, like.dims(), like.device())?,
        sigma,
    })
}

impl Denoiser for ExactPosterior {
    /// None: the data set has no classes.
    fn takes(&self) -> ConditionSpec {
        ConditionSpec::NONE
    }

    /// [`ExactPosterior::mean`].
    fn denoise(&self, query: &Query) -> candle_core::Result<Tensor> {
        self.takes().check(query)?;
        Ok(self.mean(query.x, query.sigma)?)
    }

    /// In closed form, by a second pass over the data.
    fn pullback(&self, query: &Query, v: &Tensor) -> candle_core::Result<Pullback> {
        self.takes().check(query)?;
        Ok(self.gradient(query.x, query.sigma, &query.covector(v)?)?)
    }
}
