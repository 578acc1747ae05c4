//! The data set of a posterior, read in place.

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use super::PosteriorError;
use super::real::Real;

/// The centre is the mean of at most this many points: it guards against cancellation, so any point
/// within the data's own spread serves.
const CENTRE_POINTS: usize = 256;

/// A data set `[points, N]` with the centre that distances are taken from.
#[derive(Clone, Debug)]
pub(super) struct Points {
    data: Tensor,
    count: usize,
    n: usize,
    /// Rounded to `f32`, so that `f32` data lose nothing to it but the rounding of the difference.
    centre: Vec<f32>,
    /// `|y - centre|²` of each point.
    squares: Vec<f64>,
}

/// Runs `$body` with `$values` bound to the data as `&[f32]` or `&[f64]`.
macro_rules! with_values {
    ($data:expr, $values:ident => $body:expr) => {{
        let (storage, layout) = $data.storage_and_layout();
        let (start, end) = layout
            .contiguous_offsets()
            .expect("made contiguous when it was taken in");
        match &*storage {
            candle_core::Storage::Cpu(candle_core::CpuStorage::F32(values)) => {
                let $values = &values[start..end];
                $body
            }
            candle_core::Storage::Cpu(candle_core::CpuStorage::F64(values)) => {
                let $values = &values[start..end];
                $body
            }
            _ => unreachable!("dtype and device were checked when the data were taken in"),
        }
    }};
}
pub(super) use with_values;

impl Points {
    /// Takes in `[points, ...]` without a copy, unless it lies elsewhere or scattered.
    pub fn new(data: &Tensor) -> Result<Self, PosteriorError> {
        let count = data.dims().first().copied().unwrap_or(0);
        let n: usize = data.dims().iter().skip(1).product();
        if count == 0 || n == 0 {
            return Err(PosteriorError::NoData(data.dims().to_vec()));
        }
        if !matches!(data.dtype(), DType::F32 | DType::F64) {
            return Err(PosteriorError::DType(data.dtype()));
        }
        let data = data.detach().to_device(&Device::Cpu)?.contiguous()?;
        let (centre, squares, refused) = with_values!(data, y => {
            let centre = centre(y, n);
            let squares = squares(y, &centre);
            let refused = first_refused(y, n, &squares);
            (centre, squares, refused)
        });
        if let Some(index) = refused {
            return Err(PosteriorError::NotFinite(index));
        }
        Ok(Self {
            data,
            count,
            n,
            centre,
            squares,
        })
    }

    pub fn data(&self) -> &Tensor {
        &self.data
    }

    pub fn count(&self) -> usize {
        self.count
    }

    pub fn n(&self) -> usize {
        self.n
    }

    pub fn centre(&self) -> &[f32] {
        &self.centre
    }

    pub fn squares(&self) -> &[f64] {
        &self.squares
    }
}

/// Writes `y - centre` of whole points to `out`.
pub(super) fn subtract_centre<S: Real, T: Real>(y: &[S], centre: &[f32], out: &mut [T]) {
    let rows = y.chunks_exact(centre.len());
    for (row, out) in rows.zip(out.chunks_exact_mut(centre.len())) {
        for ((out, y), c) in out.iter_mut().zip(row).zip(centre) {
            *out = T::of(y.value() - f64::from(*c));
        }
    }
}

fn centre<S: Real>(y: &[S], n: usize) -> Vec<f32> {
    let count = y.len() / n;
    let stride = count.div_ceil(CENTRE_POINTS);
    let mut sum = vec![0.0; n];
    let mut taken = 0.0;
    for row in y.chunks_exact(n).step_by(stride) {
        for (sum, y) in sum.iter_mut().zip(row) {
            *sum += y.value();
        }
        taken += 1.0;
    }
    sum.iter().map(|sum| (sum / taken) as f32).collect()
}

/// The first point that is not finite, or whose square is not.
fn first_refused<S: Real>(y: &[S], n: usize, squares: &[f64]) -> Option<usize> {
    let overflow = squares.iter().position(|square| !square.is_finite())?;
    // One broken point breaks the centre, and with it the squares of all.
    let broken = |row: &[S]| row.iter().any(|y| !y.value().is_finite());
    Some(y.chunks_exact(n).position(broken).unwrap_or(overflow))
}

fn squares<S: Real>(y: &[S], centre: &[f32]) -> Vec<f64> {
    y.par_chunks_exact(centre.len())
        .map(|row| square_distance(row, centre))
        .collect()
}

/// `|y - c|²` in eight interleaved sums, which the compiler turns into vector instructions.
fn square_distance<S: Real>(y: &[S], c: &[f32]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0.0; LANES];
    let (y_chunks, c_chunks) = (y.chunks_exact(LANES), c.chunks_exact(LANES));
    let rest = y_chunks.remainder().iter().zip(c_chunks.remainder());
    let rest: f64 = rest.map(|(y, c)| (y.value() - f64::from(*c)).powi(2)).sum();
    for (y, c) in y_chunks.zip(c_chunks) {
        for lane in 0..LANES {
            let difference = y[lane].value() - f64::from(c[lane]);
            sums[lane] += difference * difference;
        }
    }
    sums.iter().sum::<f64>() + rest
}
