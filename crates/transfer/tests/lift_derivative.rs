//! The derivative of a lifted denoiser against central differences in `f64`.

use candle_core::{DType, Device, Tensor};
use pfgmpp_kernel::{
    Denoiser, Dimension, ExactPosterior, Kernel, Query, SampleRng, Stream, inner_products,
    squared_norms, standard_normal,
};
use pfgmpp_transfer::{DataMoments, DenoisingError, EffectiveNoise, Guess};

const DIMENSIONS: [f64; 5] = [0.5, 1.0, 8.0, 128.0, f64::INFINITY];
/// Samples of a batch.
const B: usize = 4;

fn normal(seed: u64, points: usize, n: usize) -> Tensor {
    let mut rngs = SampleRng::batch(seed, Stream::Other(0), 0, points);
    standard_normal(&[n], &mut rngs, DType::F64, &Device::Cpu).unwrap()
}

/// The slope of each sample's `f(k)`, a step of `k h`, by a central difference of the sixth order.
fn slope(h: f64, f: impl Fn(f64) -> Vec<f64>) -> Vec<f64> {
    let values: Vec<(f64, Vec<f64>)> = [(1.0, 45.0), (2.0, -9.0), (3.0, 1.0)]
        .into_iter()
        .flat_map(|(k, weight)| [(weight, f(k)), (-weight, f(-k))])
        .collect();
    let sum = |b: usize| values.iter().map(|(weight, f)| weight * f[b]).sum::<f64>();
    (0..B).map(|b| sum(b) / (60.0 * h)).collect()
}

type Lift = EffectiveNoise<ExactPosterior>;

fn lift(n: usize, d: f64, guess: Guess) -> Lift {
    let points = (normal(1, 12, n) * 0.4).unwrap();
    let points = (points + 0.2).unwrap();
    let gaussian = ExactPosterior::new(&points, Dimension::Infinite).unwrap();
    let kernel = Kernel::new(n, Dimension::new(d).unwrap()).unwrap();
    let data = DataMoments::measure(&points).unwrap();
    EffectiveNoise::new(gaussian, &kernel, guess, data).unwrap()
}

/// The largest error of the derivatives by x and sigma, relative to them.
fn error(lift: &Lift, n: usize, sigma: f64, x: &Tensor, guess: Option<&Tensor>) -> f64 {
    let (v, u) = (normal(2, B, n), normal(3, B, n));
    let at = |x: &Tensor, sigma: f64| {
        let denoised = lift.denoise(&Query::new(x, &[sigma; B]).near(guess));
        inner_products(&denoised.unwrap(), &v).unwrap()
    };
    let got = lift.pullback(&Query::new(x, &[sigma; B]).near(guess), &v);
    let got = got.unwrap();
    let denoised = lift
        .denoise(&Query::new(x, &[sigma; B]).near(guess))
        .unwrap();
    let same = squared_norms(&(&got.denoised - &denoised).unwrap()).unwrap();
    assert_eq!(same, [0.0; B], "the estimate is another");
    let radius = squared_norms(x)
        .unwrap()
        .into_iter()
        .fold(f64::MAX, f64::min);
    let radius = (radius / n as f64).sqrt().max(sigma);
    let h = 1e-3 * radius;
    let by_x = slope(h, |k| at(&(x + (&u * (k * h)).unwrap()).unwrap(), sigma));
    let h = 1e-3 * sigma;
    let by_sigma = slope(h, |k| at(x, sigma + k * h));
    let along = inner_products(&got.x, &u).unwrap();
    let norms = squared_norms(&got.x).unwrap();
    (0..B).fold(0.0_f64, |worst, b| {
        let scale = norms[b].sqrt() + 1e-4 / radius;
        let by_x = (along[b] - by_x[b]).abs() / scale;
        let by_sigma = (got.sigma[b] - by_sigma[b]).abs() / (got.sigma[b].abs() + scale);
        assert!(by_x.is_finite() && by_sigma.is_finite(), "got {got:?}");
        worst.max(by_x).max(by_sigma)
    })
}

#[test]
fn the_derivative_of_the_lift_is_that_of_central_differences() {
    // The guess, if there is one, is held fixed.
    let many = Guess::FixedPoint { evaluations: 4 };
    for n in [2, 64] {
        let previous = (normal(5, B, n) * 0.3).unwrap();
        for d in DIMENSIONS {
            for guess in [Guess::DataMean, Guess::Previous, many] {
                let free = lift(n, d, guess);
                let curve = DenoisingError {
                    sigma: vec![0.05, 0.4, 2.2, 11.0],
                    error: [0.002, 0.06, 0.1, 0.12].map(|e| e * n as f64).to_vec(),
                };
                let all = [
                    ("free", free.clone()),
                    (
                        "corrected",
                        free.clone().with_denoising_error(curve).unwrap(),
                    ),
                    ("bounded", free.with_sigma_max(0.9).unwrap()),
                ];
                for (name, lift) in all {
                    for (sigma, far) in [(0.5, 1.0), (0.7, 3.0), (4.0, 30.0)] {
                        let x = (normal(7, B, n) * far).unwrap();
                        let error = error(&lift, n, sigma, &x, Some(&previous));
                        assert!(
                            error < 1e-6,
                            "{name}, n {n}, d {d}, {guess:?}, sigma {sigma}, |x| {far}: off by {error:e}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn single_precision_is_close_to_double() {
    let many = Guess::FixedPoint { evaluations: 3 };
    for n in [2, 64] {
        for d in DIMENSIONS {
            let lift = lift(n, d, many).with_sigma_max(0.9).unwrap();
            let (x, v) = (normal(7, B, n), normal(2, B, n));
            let of = |dtype| {
                let (x, v) = (x.to_dtype(dtype).unwrap(), v.to_dtype(dtype).unwrap());
                let (_, got) = lift.vjp(&Query::new(&x, &[0.7; B]), &v).unwrap();
                assert_eq!(got.dtype(), dtype);
                got.to_dtype(DType::F64).unwrap()
            };
            let (got, want) = (of(DType::F32), of(DType::F64));
            let off = squared_norms(&(&got - &want).unwrap()).unwrap();
            for (off, whole) in off.iter().zip(squared_norms(&want).unwrap()) {
                let error = off.sqrt() / whole.sqrt().max(1e-3);
                assert!(
                    error < 1e-3,
                    "n {n}, d {d}: off by {error:e}, want below 1e-3"
                );
            }
        }
    }
}

#[test]
fn without_the_level_s_own_derivative_the_lift_would_be_far_off() {
    let (n, d, sigma) = (2, 1.0, 0.7);
    let lift = lift(n, d, Guess::DataMean);
    let (x, v) = (normal(7, B, n), normal(2, B, n));
    let (_, got) = lift.vjp(&Query::new(&x, &[sigma; B]), &v).unwrap();
    let levels = lift.levels_about_mean(&x, &[sigma; B]).unwrap();
    let (_, held) = lift.denoiser().vjp(&Query::new(&x, &levels), &v).unwrap();
    let off = squared_norms(&(&got - &held).unwrap()).unwrap();
    let whole = squared_norms(&got).unwrap();
    let off = (off.iter().sum::<f64>() / whole.iter().sum::<f64>()).sqrt();
    assert!(off > 0.2, "got a difference of {off} of the whole");
}
