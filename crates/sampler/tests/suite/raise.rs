//! What raising the noise level does to the law of the radius.

use candle_core::{DType, Device, Result, Tensor};
use pfgmpp_kernel::{Dimension, Kernel, SampleRng, Stream};
use pfgmpp_sampler::{raise_gaussian, raise_posterior};

use crate::problems::values;

const SIGMA: f64 = 0.7;
/// The largest raise of one step is sqrt(2).
const SIGMA_HAT: f64 = 1.4 * SIGMA;

fn kernel(n: usize, d: f64) -> Kernel {
    Kernel::new(n, Dimension::new(d).unwrap()).unwrap()
}

/// Radii around one data point at 0 after raising draws of level [`SIGMA`] by `raise(x, rngs)`.
fn raised_radii(
    kernel: &Kernel,
    draws: usize,
    raise: impl Fn(&Tensor, &mut [SampleRng]) -> Result<Tensor>,
) -> Vec<f64> {
    let mut radii = Vec::with_capacity(draws);
    while radii.len() < draws {
        let (first, block) = (radii.len() as u64, 500.min(draws - radii.len()));
        let mut rngs = SampleRng::batch(1, Stream::Prior, first, block);
        let shape = [kernel.n()];
        let x = kernel.prior(&shape, SIGMA, &mut rngs, DType::F64, &Device::Cpu);
        let mut rngs = SampleRng::batch(1, Stream::Churn, first, block);
        let x = raise(&x.unwrap(), &mut rngs).unwrap();
        radii.extend(values(&x.sqr().unwrap().sum(1).unwrap().sqrt().unwrap()));
    }
    radii
}

/// Kolmogorov-Smirnov distance of radii to their law at [`SIGMA_HAT`].
fn distance(mut radii: Vec<f64>, kernel: &Kernel) -> f64 {
    let law = kernel.radius_law(SIGMA_HAT).unwrap();
    radii.sort_by(f64::total_cmp);
    let count = radii.len() as f64;
    let gaps = radii.iter().enumerate().map(|(i, &radius)| {
        let (cdf, i) = (law.cdf(radius), i as f64);
        (cdf - i / count).max((i + 1.0) / count - cdf)
    });
    gaps.fold(0.0, f64::max)
}

#[test]
fn posterior_churn_keeps_the_law_of_the_radius_and_gaussian_churn_breaks_it() {
    for (n, draws) in [(16, 20_000), (64, 20_000), (3072, 4000)] {
        let mut broken = Vec::new();
        for d in [1.0, 2.0, 8.0, 128.0] {
            let kernel = kernel(n, d);
            let levels = [SIGMA, SIGMA_HAT];
            let of_posterior = raised_radii(&kernel, draws, |x, rngs| {
                raise_posterior(&kernel, x, &x.zeros_like()?, levels, 1.0, rngs)
            });
            let of_gaussian = raised_radii(&kernel, draws, |x, rngs| {
                raise_gaussian(x, levels, 1.0, rngs)
            });
            let posterior = distance(of_posterior, &kernel);
            let gaussian = distance(of_gaussian, &kernel);
            // Exceeded with probability 0.001 by draws from the law itself (Kolmogorov's limit).
            let critical = 1.95 / (draws as f64).sqrt();
            println!(
                "n = {n}, d = {d}: posterior {posterior:.4}, gaussian {gaussian:.4}, \
                 sampling error up to {critical:.4}"
            );
            assert!(
                posterior < critical,
                "n = {n}, d = {d}: got {posterior}, want below {critical}"
            );
            assert!(
                gaussian > critical,
                "n = {n}, d = {d}: gaussian got {gaussian}, want above {critical}"
            );
            broken.push(gaussian);
        }
        let (smallest_d, largest_d) = (broken[0], broken[3]);
        assert!(smallest_d > 0.1, "n = {n}, d = 1: got {smallest_d}");
        assert!(
            smallest_d > 1.1 * largest_d,
            "n = {n}: got {smallest_d} at d = 1, {largest_d} at d = 128"
        );
    }
}

#[test]
fn at_infinite_d_both_add_the_same_noise() {
    let kernel = kernel(16, f64::INFINITY);
    let rngs = || SampleRng::batch(1, Stream::Churn, 0, 8);
    let x = Tensor::ones((8, 16), DType::F64, &Device::Cpu).unwrap();
    let levels = [SIGMA, SIGMA_HAT];
    let posterior = raise_posterior(&kernel, &x, &x, levels, 1.0, &mut rngs()).unwrap();
    let gaussian = raise_gaussian(&x, levels, 1.0, &mut rngs()).unwrap();
    assert_eq!(values(&posterior), values(&gaussian));
}

#[test]
fn gaussian_churn_adds_the_published_variance() {
    let x = Tensor::zeros((200, 500), DType::F64, &Device::Cpu).unwrap();
    let mut rngs = SampleRng::batch(1, Stream::Churn, 0, 200);
    let s_noise = 1.007;
    let x = raise_gaussian(&x, [SIGMA, SIGMA_HAT], s_noise, &mut rngs).unwrap();
    let got = values(&x).iter().map(|v| v * v).sum::<f64>() / 1e5;
    let want = s_noise.powi(2) * (SIGMA_HAT.powi(2) - SIGMA.powi(2));
    // Five standard errors: 5 sqrt(2 / 1e5) = 0.022.
    assert!((got / want - 1.0).abs() < 0.022, "got {got}, want {want}");
}

#[test]
fn far_outliers_and_points_on_the_data_are_raised_to_finite_values() {
    for d in [0.1, 1.0, 1e12, 1e300] {
        let kernel = kernel(2, d);
        let x = Tensor::new(&[[1e140f64, -1e140], [0.0, 0.0]], &Device::Cpu).unwrap();
        let mut rngs = SampleRng::batch(1, Stream::Churn, 0, 2);
        let levels = [SIGMA, SIGMA_HAT];
        let got = raise_posterior(
            &kernel,
            &x,
            &x.zeros_like().unwrap(),
            levels,
            1.0,
            &mut rngs,
        );
        let got = values(&got.unwrap());
        assert!(got.iter().all(|v| v.is_finite()), "d {d}: got {got:?}");
        assert_ne!(got[2..], [0.0, 0.0], "d {d}");
    }
}
