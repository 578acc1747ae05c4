//! A tensor of samples, checked and flattened.

use std::error::Error;
use std::ops::Range;

use candle_core::{DType, Device, Tensor};

/// Rows that are brought to `f64` at a time; bounds the memory of every metric and fixes the order
/// of its sums.
pub(crate) const BLOCK: usize = 256;
/// Values of such rows at most; wide samples come in smaller blocks.
const BLOCK_VALUES: usize = 1 << 22;

/// Rows of `dim` values that are brought to `f64` at a time.
pub(crate) fn block(dim: usize) -> usize {
    (BLOCK_VALUES / dim.max(1)).clamp(16, BLOCK)
}

/// Values beyond it are refused, so that no sum of squares overflows `f64`.
const LARGEST: f64 = 1e150;

/// What can be wrong with the samples given to a metric.
#[derive(Debug, thiserror::Error)]
pub enum MetricError {
    /// Fewer samples than the metric is defined for.
    #[error("{set} must hold at least 2 samples of at least 1 value, got shape {shape:?}")]
    TooFew {
        /// Which argument.
        set: &'static str,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// Two sets of different dimension.
    #[error("x and y must have samples of equal size, got {x} and {y} values per sample")]
    Dimension {
        /// Values a sample of `x`.
        x: usize,
        /// Values a sample of `y`.
        y: usize,
    },
    /// A value that is not a number, infinite, or so large that its square would be.
    #[error(
        "{set} must be finite and within ±1e150, got {value} at value {element} of sample {sample}"
    )]
    OutOfRange {
        /// Which argument.
        set: &'static str,
        /// The first sample with such a value.
        sample: usize,
        /// The first such value in it.
        element: usize,
        /// The value.
        value: f64,
    },
    /// A dtype other than `f32` and `f64`.
    #[error("{set} must be f32 or f64, got {dtype:?}")]
    Dtype {
        /// Which argument.
        set: &'static str,
        /// Its dtype.
        dtype: DType,
    },
    /// Statistics whose matrix is none of covariances.
    #[error(
        "the covariance must be symmetric with a diagonal from 0 up, got another value at row {row}, column {column}"
    )]
    NotACovariance {
        /// The first such row.
        row: usize,
        /// Its column.
        column: usize,
    },
    /// A sliced distance without slices.
    #[error("num_projections must be at least 1, got 0")]
    NoProjections,
    /// Fewer samples than neighbours are asked for.
    #[error("{set} must hold more than {k} samples for their {k} nearest neighbours, got {num}")]
    Neighbours {
        /// Which argument.
        set: &'static str,
        /// Neighbours.
        k: usize,
        /// Its samples.
        num: usize,
    },
    /// Samples too large for their covariance.
    #[error(
        "the Fréchet distance takes samples of at most {most} values, got {dim}: give features"
    )]
    TooWide {
        /// Values a sample.
        dim: usize,
        /// The most that are taken.
        most: usize,
    },
    /// What is no table whose columns could have tails.
    #[error(
        "{set} must be a table of at least {fewest} rows and at most {most} columns, got {rows} rows of {columns}"
    )]
    NoTable {
        /// Which argument.
        set: &'static str,
        /// Its rows.
        rows: usize,
        /// Its columns.
        columns: usize,
        /// The fewest rows.
        fewest: usize,
        /// The most columns.
        most: usize,
    },
    /// Something that the metric is measured on is not at hand.
    #[error("this metric needs {need}, and there is none")]
    Missing {
        /// What it needs.
        need: &'static str,
    },
    /// A failure of the model.
    #[error(transparent)]
    Denoiser(Box<dyn Error + Send + Sync>),
    /// A failure of the tensor backend.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// Samples as rows, in the precision they came in.
#[derive(Clone, Debug)]
pub(crate) struct Samples {
    pub num: usize,
    pub dim: usize,
    values: Values,
}

#[derive(Clone, Debug)]
enum Values {
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl Samples {
    /// Reads `[n, ...]` with `n` at least 2; `set` is its name in messages.
    pub fn read(set: &'static str, tensor: &Tensor) -> Result<Self, MetricError> {
        let shape = tensor.dims().to_vec();
        let num = shape.first().copied().unwrap_or(0);
        if num < 2 || tensor.elem_count() == 0 {
            return Err(MetricError::TooFew { set, shape });
        }
        let dim = tensor.elem_count() / num;
        let flat = tensor.to_device(&Device::Cpu)?.flatten_all()?;
        let values = match tensor.dtype() {
            DType::F32 => Values::F32(flat.to_vec1()?),
            DType::F64 => Values::F64(flat.to_vec1()?),
            dtype => return Err(MetricError::Dtype { set, dtype }),
        };
        let out_of_range = match &values {
            Values::F32(values) => first_out_of_range(values),
            Values::F64(values) => first_out_of_range(values),
        };
        match out_of_range {
            None => Ok(Self { num, dim, values }),
            Some((i, value)) => Err(MetricError::OutOfRange {
                set,
                sample: i / dim,
                element: i % dim,
                value,
            }),
        }
    }

    /// Reads the two sets of a distance.
    pub fn read_pair(x: &Tensor, y: &Tensor) -> Result<(Self, Self), MetricError> {
        let (x, y) = (Self::read("x", x)?, Self::read("y", y)?);
        if x.dim == y.dim {
            Ok((x, y))
        } else {
            Err(MetricError::Dimension { x: x.dim, y: y.dim })
        }
    }

    /// The mean sample, length `dim`.
    pub fn mean(&self) -> Vec<f64> {
        let mut mean = vec![0.0; self.dim];
        let (mut row, origin) = (vec![0.0; self.dim], vec![0.0; self.dim]);
        for i in 0..self.num {
            self.copy_centred(i..i + 1, &origin, &mut row);
            mean.iter_mut().zip(&row).for_each(|(mean, v)| *mean += v);
        }
        mean.iter_mut().for_each(|mean| *mean /= self.num as f64);
        mean
    }

    /// Writes `sample - centre` for each sample of `rows` to the front of `out`.
    pub fn copy_centred(&self, rows: Range<usize>, centre: &[f64], out: &mut [f64]) {
        let range = rows.start * self.dim..rows.end * self.dim;
        match &self.values {
            Values::F32(values) => subtract(&values[range], centre, out),
            Values::F64(values) => subtract(&values[range], centre, out),
        }
    }

    /// The rows in blocks of [`block`], the last one shorter.
    pub fn blocks(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (num, block) = (self.num, block(self.dim));
        (0..num)
            .step_by(block)
            .map(move |start| start..num.min(start + block))
    }
}

fn first_out_of_range<T: Copy + Into<f64>>(values: &[T]) -> Option<(usize, f64)> {
    let mut indexed = values.iter().map(|&v| v.into()).enumerate();
    // NaN is within no bound.
    indexed.find(|(_, v): &(usize, f64)| v.is_nan() || v.abs() > LARGEST)
}

fn subtract<T: Copy + Into<f64>>(rows: &[T], centre: &[f64], out: &mut [f64]) {
    for (row, out) in rows
        .chunks_exact(centre.len())
        .zip(out.chunks_exact_mut(centre.len()))
    {
        for ((&v, centre), out) in row.iter().zip(centre).zip(out) {
            *out = v.into() - centre;
        }
    }
}
