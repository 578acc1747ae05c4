//! The sliced Wasserstein distance (Bonneel et al. 2015, "Sliced and Radon Wasserstein barycenters
//! of measures").

use std::ops::Range;

use candle_core::Tensor;
use rand::RngExt;
use rand_distr::StandardNormal;
use rayon::prelude::*;

use crate::inputs::{Inputs, Need};
use crate::intervals::jackknife_error;
use crate::matrix::{Matrix, multiply};
use crate::metric::{Better, Description, Estimate, Metric};
use crate::samples::{MetricError, Samples, block};
use crate::stream::{Purpose, stream};

/// Directions that are projected on at a time; bounds the memory to `SLAB (n + m + N)` values.
const SLAB: usize = 128;

/// Parts of the grouped jackknife.
const PARTS: usize = 20;

/// The sliced 2-Wasserstein distance between two sample sets, over `num_projections` random unit
/// directions.
///
/// ```text
/// SW2² = mean over directions u of W2²(u·X, u·Y),     W2² = ∫ (F⁻¹(p) - G⁻¹(p))² dp,  0 < p < 1
/// ```
///
/// The result is `SW2`, in units of the data. The quantile functions `F⁻¹`, `G⁻¹` of the sets are
/// piecewise constant and are integrated as such, which is exact for sets of different size.
/// Direction `k` depends on `seed` and `k` only. Unlike the energy distance this one is biased: two
/// sets of one distribution are some way apart, so compare values of equal sample counts only.
///
/// `x` has shape `[n, ...]`, `y` `[m, ...]`, each sample with as many values; `f32` or `f64`.
///
/// # Errors
///
/// No projections, samples of different size, fewer than 2 of them, values that are not finite (the
/// first is named), another dtype, and failures of the tensor backend.
pub fn sliced_wasserstein(
    x: &Tensor,
    y: &Tensor,
    num_projections: usize,
    seed: u64,
) -> Result<f64, MetricError> {
    if num_projections == 0 {
        return Err(MetricError::NoProjections);
    }
    let (x, y) = Samples::read_pair(x, y)?;
    let mut sum = 0.0;
    for start in (0..num_projections).step_by(SLAB) {
        let num = SLAB.min(num_projections - start);
        let slab = (start..start + num)
            .into_par_iter()
            .map(|k| direction(seed, k, x.dim));
        let directions: Vec<f64> = slab.flatten_iter().collect();
        let (x, y) = (project(&x, &directions), project(&y, &directions));
        let square = |k| w2_squared(&sorted_column(&x, k, num), &sorted_column(&y, k, num));
        let squares: Vec<f64> = (0..num).into_par_iter().map(square).collect();
        sum += squares.iter().sum::<f64>();
    }
    Ok((sum / num_projections as f64).sqrt())
}

/// The standard error of [`sliced_wasserstein`] over both sets, for these directions: the grouped jackknife, each set
/// without one of its 20 parts (sample `i` is in part `i mod 20`) at a time; `None` where a set is too small for that.
///
/// # Errors
///
/// As [`sliced_wasserstein`].
pub fn sliced_wasserstein_error(
    x: &Tensor,
    y: &Tensor,
    num_projections: usize,
    seed: u64,
) -> Result<Option<f64>, MetricError> {
    if x.dims()[0].min(y.dims()[0]) < 2 * PARTS {
        return Ok(None);
    }
    let without = |set: &Tensor, part: usize| {
        let left = (0..set.dims()[0]).filter(|i| i % PARTS != part);
        let left: Vec<u32> = left.map(|i| i as u32).collect();
        set.index_select(&Tensor::new(left, set.device())?, 0)
    };
    let (mut of_x, mut of_y) = (Vec::new(), Vec::new());
    for part in 0..PARTS {
        of_x.push(sliced_wasserstein(
            &without(x, part)?,
            y,
            num_projections,
            seed,
        )?);
        of_y.push(sliced_wasserstein(
            x,
            &without(y, part)?,
            num_projections,
            seed,
        )?);
    }
    let errors = jackknife_error(&of_x).zip(jackknife_error(&of_y));
    Ok(errors.map(|(of_x, of_y)| of_x.hypot(of_y)))
}

/// The sliced Wasserstein distance of the samples from the held-out data, as [`sliced_wasserstein`].
pub struct SlicedWasserstein;

impl Metric for SlicedWasserstein {
    fn description(&self) -> Description {
        Description {
            name: "sliced_wasserstein",
            label: "sliced Wasserstein",
            short: "sliced W.",
            unit: "units of the data",
            meaning: "how far the samples' values have to move, along random directions, to be spread as the held-out \
                      images' values are; never quite 0 for finite sets",
            better: Better::Lower,
            across_d: true,
        }
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Samples, Need::HeldOut]
    }

    fn evaluate(&self, inputs: &Inputs<'_>) -> Result<Estimate, MetricError> {
        let (samples, held_out) = (inputs.samples()?, inputs.held_out()?);
        let (projections, seed) = (inputs.num_projections, inputs.seed);
        let standard_error = match inputs.errors {
            true => sliced_wasserstein_error(samples, held_out, projections, seed)?,
            false => None,
        };
        Ok(Estimate {
            value: sliced_wasserstein(samples, held_out, projections, seed)?,
            standard_error,
        })
    }
}

/// A uniform draw from the unit sphere.
fn direction(seed: u64, k: usize, dim: usize) -> Vec<f64> {
    let rng = stream(seed, Purpose::Projection, k);
    let mut u: Vec<f64> = rng.sample_iter(StandardNormal).take(dim).collect();
    let norm = u.iter().map(|v| v * v).sum::<f64>().sqrt();
    u.iter_mut().for_each(|v| *v /= norm);
    u
}

/// Projects every sample on every direction: for each block of samples, `[directions, samples]`.
fn project(samples: &Samples, directions: &[f64]) -> Vec<Vec<f64>> {
    let dim = samples.dim;
    let num = directions.len() / dim;
    let origin = vec![0.0; dim];
    let blocks: Vec<_> = samples.blocks().collect();
    let project = |rows: &mut Vec<f64>, block: Range<usize>| {
        let len = block.len();
        samples.copy_centred(block, &origin, rows);
        let mut projected = vec![0.0; num * len];
        let (u, x) = (
            Matrix::new(directions, num, dim, dim),
            Matrix::new(rows, len, dim, dim),
        );
        multiply(u, x.transposed(), &mut projected, false);
        projected
    };
    blocks
        .into_par_iter()
        .map_init(|| vec![0.0; block(dim) * dim], project)
        .collect()
}

/// The projections on direction `k`, sorted.
fn sorted_column(blocks: &[Vec<f64>], k: usize, num_directions: usize) -> Vec<f64> {
    let part = |block: &Vec<f64>| {
        let len = block.len() / num_directions;
        block[k * len..(k + 1) * len].to_vec()
    };
    let mut column: Vec<f64> = blocks.iter().flat_map(part).collect();
    column.sort_unstable_by(f64::total_cmp);
    column
}

/// `∫ (F⁻¹ - G⁻¹)²` of two sorted sets, over the pieces on which both quantile functions are constant.
fn w2_squared(a: &[f64], b: &[f64]) -> f64 {
    let (n, m) = (a.len(), b.len());
    let (mut i, mut j, mut sum) = (0, 0, 0.0);
    // Probabilities in units of 1/(n m) are integers: F⁻¹ steps at multiples of m, G⁻¹ of n.
    let mut start = 0;
    while start < n * m {
        let (step_a, step_b) = ((i + 1) * m, (j + 1) * n);
        let end = step_a.min(step_b);
        sum += (end - start) as f64 * (a[i] - b[j]).powi(2);
        i += usize::from(end == step_a);
        j += usize::from(end == step_b);
        start = end;
    }
    sum / (n * m) as f64
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    #[test]
    fn directions_are_uniform_on_the_sphere() {
        let num = 4000;
        let mut second_moments = [0.0; 3];
        for k in 0..num {
            let u = direction(1, k, 2);
            let norm = u[0] * u[0] + u[1] * u[1];
            assert!(
                (norm - 1.0).abs() < 1e-15,
                "direction {k} has squared norm {norm}"
            );
            let products = [u[0] * u[0], u[1] * u[1], u[0] * u[1]];
            second_moments
                .iter_mut()
                .zip(products)
                .for_each(|(sum, p)| *sum += p / num as f64);
        }
        // u_0² and u_0 u_1 both have variance 1/8 on the circle.
        for (got, want) in second_moments.into_iter().zip([0.5, 0.5, 0.0]) {
            let error = (0.125 / num as f64).sqrt();
            assert!(
                (got - want).abs() < 4.0 * error,
                "got {got}, want {want} +- {error}"
            );
        }
    }

    #[test]
    fn slabs_join_without_a_seam() {
        let x = Tensor::zeros((2, 3), DType::F64, &Device::Cpu).unwrap();
        let y = x.affine(0.0, 1.0).unwrap();
        let total = |num: usize| num as f64 * sliced_wasserstein(&x, &y, num, 9).unwrap().powi(2);
        for k in [SLAB - 1, SLAB, 2 * SLAB] {
            let want = direction(9, k, 3).iter().sum::<f64>().powi(2);
            let got = total(k + 1) - total(k);
            assert!(
                (got - want).abs() < 1e-12,
                "direction {k}: got {got}, want {want}"
            );
        }
    }
}
