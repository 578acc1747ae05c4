//! The metrics against closed forms, SciPy and their own invariances.

mod energy_distance;
mod gaussian_fit;
mod nearest;
mod parity;
mod refusals;
mod scores;
mod sliced_wasserstein;
mod tails;

use candle_core::{Device, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// `[num, dim]` in `f64`.
fn tensor(values: &[f64], dim: usize) -> Tensor {
    Tensor::from_slice(values, (values.len() / dim, dim), &Device::Cpu).unwrap()
}

/// Standard normal `[num, dim]` in `f64`.
fn normals(num: usize, dim: usize, seed: u64) -> Tensor {
    let rng = ChaCha8Rng::seed_from_u64(seed);
    let values: Vec<f64> = rng.sample_iter(StandardNormal).take(num * dim).collect();
    tensor(&values, dim)
}

/// Numbers that NumPy can repeat: `shift + (factor k² mod prime) / 5000` for `k = 0, 1, ...`.
fn residues(num: usize, dim: usize, shift: f64, (factor, prime): (u64, u64)) -> Tensor {
    let residue = |k: u64| shift + (factor * k * k % prime) as f64 / 5000.0;
    let values: Vec<f64> = (0..(num * dim) as u64).map(residue).collect();
    tensor(&values, dim)
}

fn residues_x(num: usize, dim: usize) -> Tensor {
    residues(num, dim, 0.0, (37, 10_007))
}

fn residues_y(num: usize, dim: usize) -> Tensor {
    residues(num, dim, 0.5, (53, 10_009))
}

/// `f` under pools of several sizes must give the same bits.
fn assert_same_on_any_number_of_threads(f: impl Fn() -> Vec<f64> + Sync) {
    let bits = |threads: usize| -> Vec<u64> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(&f).into_iter().map(f64::to_bits).collect()
    };
    let want = bits(1);
    for threads in [2, 5] {
        assert_eq!(bits(threads), want, "{threads} threads");
    }
}

/// The mean of `values` is `want` within `z` of its standard errors.
fn assert_mean(values: &[f64], want: f64, z: f64) {
    let num = values.len() as f64;
    let mean = values.iter().sum::<f64>() / num;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (num - 1.0);
    let error = (variance / num).sqrt();
    assert!(
        (mean - want).abs() < z * error,
        "got {mean}, want {want} within {z} times {error}"
    );
}

fn assert_close(got: f64, want: f64, relative: f64) {
    assert!(
        (got - want).abs() <= relative * want.abs(),
        "got {got}, want {want} within {relative}"
    );
}
