//! Draws against the radius law, by Kolmogorov-Smirnov tests.
//!
//! All tests of this file together reject a right implementation with probability at most 1e-3: each
//! of the [`TESTS`] comparisons is made at 1e-3 / [`TESTS`] (Bonferroni). Seeds are fixed, so a run that
//! passes passes again.
//!
//! What is drawn: `RadiusLaw::sample` 100,000 times for every N and D; `Kernel::perturb` of whole
//! vectors, whose norms are taken, 100,000 times up to N = 64, and fewer times beyond ([`vectors`]).
//! The law's cdf is tested against golden values elsewhere, and no part of it enters the draws.

use candle_core::{D, DType, Device, Tensor};
use pfgmpp_kernel::{Dimension, Kernel, RadiusLaw, SampleRng, Stream};
use rayon::prelude::*;

const N: [usize; 5] = [1, 2, 64, 3072, 196_608];
const DIMENSIONS: [f64; 9] = [0.5, 1.0, 2.0, 8.0, 128.0, 2048.0, 1e6, 1e12, f64::INFINITY];
const SIGMA: f64 = 0.7;
const DRAWS: usize = 100_000;

/// 45 of radii, 45 of vectors, 5 of the limit, 9 of directions, 4 of small D, with 12 to spare.
const TESTS: f64 = 120.0;
const SIGNIFICANCE: f64 = 1e-3;

/// Draws of whole vectors at each N, as many as some hundred million normals allow.
fn vectors(n: usize) -> usize {
    match n {
        0..=64 => DRAWS,
        65..=3072 => 5_000,
        _ => 80,
    }
}

fn kernel(n: usize, d: f64) -> Kernel {
    Kernel::new(n, Dimension::new(d).expect("positive d")).expect("valid kernel")
}

fn law(n: usize, d: f64) -> RadiusLaw {
    kernel(n, d).radius_law(SIGMA).expect("positive sigma")
}

/// A stream for each comparison: number them apart by `set`, N and D.
fn seed(set: u64, n: usize, d: f64) -> u64 {
    set << 60 ^ (n as u64) << 40 ^ d.to_bits() >> 24
}

fn radii(set: u64, n: usize, d: f64) -> Vec<f64> {
    let law = law(n, d);
    let mut rng = SampleRng::new(seed(set, n, d), Stream::Prior, 0);
    (0..DRAWS).map(|_| law.sample(&mut rng)).collect()
}

/// The largest distance that a right sample exceeds with probability `SIGNIFICANCE / TESTS`.
///
/// ```text
/// P(sqrt(m) distance > c) <= 2 exp(-2 c²)      (Massart 1990), m the effective number of draws
/// ```
fn critical(m: f64) -> f64 {
    (-0.5 * (SIGNIFICANCE / TESTS / 2.0).ln() / m).sqrt()
}

/// The distance between sample and law.
fn distance(draws: Vec<f64>, cdf: impl Fn(f64) -> f64) -> f64 {
    distance_below(f64::INFINITY, draws, cdf)
}

/// A lower bound of the distance between sample and law below `bound`, short by at most 1 / 2000.
///
/// The cdf is evaluated at every k-th draw in order, k = draws / 2000; between two of them neither
/// function moves by more than k draws.
fn distance_below(bound: f64, mut draws: Vec<f64>, cdf: impl Fn(f64) -> f64) -> f64 {
    draws.sort_by(f64::total_cmp);
    let count = draws.len() as f64;
    let stride = (draws.len() / 2000).max(1);
    let mut worst = 0.0_f64;
    for (i, draw) in draws.iter().enumerate().step_by(stride) {
        if *draw >= bound {
            break;
        }
        let want = cdf(*draw);
        assert!((0.0..=1.0).contains(&want), "cdf at {draw}: got {want}");
        let (below, above) = (i as f64 / count, (i + 1) as f64 / count);
        worst = worst.max(want - below).max(above - want);
    }
    worst
}

fn two_sample_distance(mut a: Vec<f64>, mut b: Vec<f64>) -> f64 {
    a.sort_by(f64::total_cmp);
    b.sort_by(f64::total_cmp);
    let mut worst = 0.0_f64;
    let mut j = 0;
    for (i, value) in a.iter().enumerate() {
        while j < b.len() && b[j] <= *value {
            j += 1;
        }
        let gap = (i + 1) as f64 / a.len() as f64 - j as f64 / b.len() as f64;
        worst = worst.max(gap.abs());
    }
    worst
}

fn cases() -> Vec<(usize, f64)> {
    N.iter()
        .flat_map(|n| DIMENSIONS.iter().map(move |d| (*n, *d)))
        .collect()
}

/// Fails with every case whose distance is beyond its critical value.
fn expect_small(distances: &[(String, f64, f64)]) {
    let is_far = |(_, got, limit): &&(String, f64, f64)| got >= limit;
    let far: Vec<_> = distances.iter().filter(is_far).collect();
    assert!(far.is_empty(), "(case, distance, critical value): {far:#?}");
    let largest = distances.iter().map(|(_, got, limit)| got / limit);
    let largest = largest.fold(0.0, f64::max);
    println!(
        "{} comparisons, largest distance {largest:.3} of the critical",
        distances.len()
    );
}

#[test]
fn drawn_radii_follow_the_radius_law() {
    let distances: Vec<_> = cases()
        .into_par_iter()
        .map(|(n, d)| {
            let law = law(n, d);
            let got = distance(radii(1, n, d), |r| law.cdf(r));
            (format!("n = {n}, d = {d}"), got, critical(DRAWS as f64))
        })
        .collect();
    expect_small(&distances);
}

/// Norms of `count` perturbations of a data point, drawn as a batch is.
fn norms(n: usize, d: f64, count: usize) -> Vec<f64> {
    let kernel = kernel(n, d);
    let block = (1 << 21) / n.max(64);
    let mut norms = Vec::with_capacity(count);
    while norms.len() < count {
        let batch = block.clamp(1, count - norms.len());
        let first = norms.len() as u64;
        let mut rngs = SampleRng::batch(seed(2, n, d), Stream::Training, first, batch);
        let y = Tensor::zeros((batch, n), DType::F64, &Device::Cpu).expect("data");
        let x = kernel.perturb(&y, &vec![SIGMA; batch], &mut rngs);
        let squares = x.expect("perturbed").sqr().and_then(|x| x.sum(D::Minus1));
        let radii = squares
            .and_then(|r| r.sqrt())
            .and_then(|r| r.to_vec1::<f64>());
        norms.extend(radii.expect("radii"));
    }
    norms
}

#[test]
fn perturbed_vectors_follow_the_radius_law() {
    let mut distances = Vec::new();
    for (n, d) in cases() {
        let count = vectors(n);
        let law = law(n, d);
        let got = distance(norms(n, d, count), |r| law.cdf(r));
        distances.push((format!("n = {n}, d = {d}"), got, critical(count as f64)));
    }
    expect_small(&distances);
}

#[test]
fn a_million_million_extra_coordinates_are_the_diffusion_limit() {
    let distances = N.map(|n| {
        let got = two_sample_distance(radii(3, n, 1e12), radii(4, n, f64::INFINITY));
        (format!("n = {n}"), got, critical(DRAWS as f64 / 2.0))
    });
    expect_small(&distances);
}

#[test]
fn directions_are_uniform() {
    // On the circle the angle is uniform: an equal scale of all coordinates of a vector changes none.
    let mut distances = Vec::new();
    for d in DIMENSIONS {
        let kernel = kernel(2, d);
        let mut rngs = SampleRng::batch(seed(5, 2, d), Stream::Prior, 0, DRAWS);
        let x = kernel.prior(&[2], SIGMA, &mut rngs, DType::F64, &Device::Cpu);
        let x: Vec<Vec<f64>> = x.and_then(|x| Ok(x.to_vec2()?)).expect("points");
        let turns = x
            .iter()
            .map(|p| p[1].atan2(p[0]) / std::f64::consts::TAU + 0.5);
        let got = distance(turns.collect(), |turn| turn);
        distances.push((format!("d = {d}"), got, critical(DRAWS as f64)));
    }
    expect_small(&distances);
}

#[test]
fn small_d_is_drawn_through_its_logarithm() {
    // At D = 0.01 half of the chi-square variates are below 1e-60, at 0.001 seven in ten underflow.
    let distances = [(1, 0.1), (64, 0.1), (64, 0.01), (3072, 0.001)].map(|(n, d)| {
        let law = law(n, d);
        // The bound on the mixture scale moves draws from beyond it to it: their number is compared.
        let got = distance_below(1e149, radii(6, n, d), |r| law.cdf(r));
        (format!("n = {n}, d = {d}"), got, critical(DRAWS as f64))
    });
    expect_small(&distances);
}

#[test]
fn clipping_the_mixture_as_published_would_be_seen() {
    // The published code holds Beta(N/2, D/2) = R²/(R² + r²) within [1e-3, 1 - 1e-3].
    let (n, d) = (3072, 1.0);
    let law = law(n, d);
    let r_square = SIGMA * SIGMA * d;
    let clipped = radii(7, n, d).into_iter().map(|radius| {
        let beta = radius * radius / (radius * radius + r_square);
        let beta = beta.clamp(1e-3, 1.0 - 1e-3);
        (r_square * beta / (1.0 - beta)).sqrt()
    });
    let got = distance(clipped.collect(), |r| law.cdf(r));
    assert!(
        got > 0.9,
        "distance of the clipped kernel: got {got}, want about 0.92"
    );
}
