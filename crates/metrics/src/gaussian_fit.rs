//! The Gaussian with the mean and covariance of a data set: what a model has to beat.

use candle_core::{DType, Device, Tensor};
use rand::RngExt;
use rand_distr::StandardNormal;
use rayon::prelude::*;

use crate::matrix::{Matrix, multiply};
use crate::samples::{MetricError, Samples, block};
use crate::stream::{Purpose, stream};

/// Samples drawn at a time. A last block is drawn whole and cut, because a product of another shape
/// may round otherwise: sample `k` must not depend on how many are asked for.
const DRAWN: usize = 64;

/// A Gaussian fitted to data of any dimension.
///
/// It needs no covariance matrix and no factorisation: a random combination of the centred data
/// has exactly their covariance `S` (divisor `n - 1`), even where `S` is singular.
///
/// ```text
/// x = mean + (n - 1)^(-1/2) Σ eps_i (y_i - mean),  eps_i ~ N(0, 1)      =>      x ~ N(mean, S)
/// ```
#[derive(Clone, Debug)]
pub struct GaussianFit {
    data: Samples,
    mean: Vec<f64>,
    /// Shape of one sample.
    shape: Vec<usize>,
    dtype: DType,
}

impl GaussianFit {
    /// Takes the data, `[n, ...]`, `f32` or `f64`.
    ///
    /// # Errors
    ///
    /// Fewer than 2 samples, values that are not finite (the first is named), another dtype, and
    /// failures of the tensor backend.
    pub fn fit(data: &Tensor) -> Result<Self, MetricError> {
        let samples = Samples::read("data", data)?;
        let mean = samples.mean();
        Ok(Self {
            data: samples,
            mean,
            shape: data.dims()[1..].to_vec(),
            dtype: data.dtype(),
        })
    }

    /// Draws `num` samples, `[num, ...]` in the data's dtype, on the CPU.
    ///
    /// Sample `k` depends on `seed` and `k` only.
    ///
    /// # Errors
    ///
    /// Failures of the tensor backend.
    pub fn sample(&self, num: usize, seed: u64) -> Result<Tensor, MetricError> {
        let starts: Vec<usize> = (0..num).step_by(DRAWN).collect();
        let drawn: Vec<Vec<f64>> = starts
            .into_par_iter()
            .map(|start| self.draw(start, seed))
            .collect();
        let mut values = drawn.concat();
        values.truncate(num * self.data.dim);
        let shape: Vec<usize> = std::iter::once(num)
            .chain(self.shape.iter().copied())
            .collect();
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(self.dtype)?)
    }

    /// Samples `start..start + DRAWN`, row by row.
    fn draw(&self, start: usize, seed: u64) -> Vec<f64> {
        let Samples { num: n, dim, .. } = self.data;
        let normals = |k| {
            stream(seed, Purpose::GaussianFit, k)
                .sample_iter(StandardNormal)
                .take(n)
        };
        let eps: Vec<f64> = (start..start + DRAWN).flat_map(normals).collect();
        let (mut x, mut centred) = (vec![0.0; DRAWN * dim], vec![0.0; block(dim) * dim]);
        for block in self.data.blocks() {
            self.data
                .copy_centred(block.clone(), &self.mean, &mut centred);
            let eps = Matrix::new(&eps[block.start..], DRAWN, block.len(), n);
            multiply(
                eps,
                Matrix::new(&centred, block.len(), dim, dim),
                &mut x,
                true,
            );
        }
        let scale = 1.0 / (n as f64 - 1.0).sqrt();
        for row in x.chunks_exact_mut(dim) {
            row.iter_mut()
                .zip(&self.mean)
                .for_each(|(v, mean)| *v = mean + scale * *v);
        }
        x
    }
}
