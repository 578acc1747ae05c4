//! The Gaussian with the mean and covariance of a data set: what a model has to beat.

use candle_core::{DType, Device, Tensor};
use rand::RngExt;
use rand_distr::StandardNormal;
use rayon::prelude::*;

use crate::frechet_distance::{Moments, factor};
use crate::matrix::{Matrix, multiply};
use crate::samples::{MetricError, Samples, block};
use crate::stream::{Purpose, stream};

/// Samples drawn at a time. A last block is drawn whole and cut, because a product of another shape
/// may round otherwise: sample `k` must not depend on how many are asked for.
const DRAWN: usize = 64;

/// Data above which, and values of each up to which, samples are drawn by a factor of the covariance: a combination of all data
/// takes as long as there are data. Both ways draw from one law; the bounds keep the samples of the data sets that there were before.
const MANY: usize = 1 << 14;
const FEW: usize = 64;

/// A Gaussian fitted to data of any dimension.
///
/// It needs no covariance matrix and no factorisation, except for many data of few values (a table): a random combination of the centred data
/// has exactly their covariance `S` (divisor `n - 1`), even where `S` is singular.
///
/// ```text
/// x = mean + (n - 1)^(-1/2) Σ eps_i (y_i - mean),  eps_i ~ N(0, 1)      =>      x ~ N(mean, S)
/// ```
#[derive(Clone, Debug)]
pub struct GaussianFit {
    data: Samples,
    mean: Vec<f64>,
    /// Of a covariance `A A^T`: `A` `[dim, dim]`, of which the first so many columns count.
    factor: Option<(Vec<f64>, usize)>,
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
        let factor = match samples.num > MANY && samples.dim <= FEW {
            true => Some(factor(Moments::of(data)?.covariance(), samples.dim)),
            false => None,
        };
        Ok(Self {
            factor,
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
        match &self.factor {
            Some((factor, rank)) => self.draw_by(factor, *rank, start, seed),
            None => self.combine(start, seed),
        }
    }

    /// As [`Self::draw`], `mean + A eps`.
    fn draw_by(&self, factor: &[f64], rank: usize, start: usize, seed: u64) -> Vec<f64> {
        let rows = (start..start + DRAWN).flat_map(|k| {
            let rng = stream(seed, Purpose::GaussianFit, k);
            let eps: Vec<f64> = rng.sample_iter(StandardNormal).take(rank).collect();
            let rows = factor.chunks_exact(self.data.dim).zip(&self.mean);
            let values = rows.map(|(row, mean)| {
                mean + row.iter().zip(&eps).map(|(a, eps)| a * eps).sum::<f64>()
            });
            values.collect::<Vec<f64>>()
        });
        rows.collect()
    }

    /// As [`Self::draw`], combinations of the data.
    fn combine(&self, start: usize, seed: u64) -> Vec<f64> {
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
