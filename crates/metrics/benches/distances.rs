//! Distances between sets of images, by their number and by their size.

use candle_core::{Device, Tensor};
use divan::Bencher;
use divan::counter::ItemsCount;
use pfgmpp_metrics::{energy_distance, sliced_wasserstein};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

fn main() {
    divan::main();
}

/// `[num, dim]` samples of one Gaussian, another set for another seed.
fn samples(num: usize, dim: usize, seed: u64) -> Tensor {
    let rng = ChaCha8Rng::seed_from_u64(seed);
    let values: Vec<f32> = rng.sample_iter(StandardNormal).take(num * dim).collect();
    Tensor::from_vec(values, (num, dim), &Device::Cpu).unwrap()
}

fn bench(
    bencher: Bencher,
    (num, dim): (usize, usize),
    pairs: usize,
    distance: impl Fn(&Tensor, &Tensor) -> f64,
) {
    let (x, y) = (samples(num, dim, 0), samples(num, dim, 1));
    let got = distance(&x, &y);
    assert!(
        got.abs() < 1.0,
        "sets of one distribution are close, got {got}"
    );
    bencher
        .counter(ItemsCount::new(pairs))
        .bench_local(|| distance(&x, &y));
}

/// Items are pairs of samples.
#[divan::bench(name = "energy_distance/sets/num_dim", args = [(1000, 64), (1000, 3072), (4000, 64)], sample_count = 10)]
fn energy(bencher: Bencher, size: (usize, usize)) {
    bench(bencher, size, 2 * size.0 * size.0, |x, y| {
        energy_distance(x, y).unwrap()
    });
}

/// Items are projected samples.
#[divan::bench(name = "sliced_wasserstein/sets/num_dim", args = [(1000, 64), (1000, 3072), (4000, 64)], sample_count = 10)]
fn sliced(bencher: Bencher, size: (usize, usize)) {
    bench(bencher, size, 2 * 128 * size.0, |x, y| {
        sliced_wasserstein(x, y, 128, 0).unwrap()
    });
}
