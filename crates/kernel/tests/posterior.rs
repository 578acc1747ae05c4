//! The exact posterior against golden values, sums over the data set, and its limits.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use pfgmpp_kernel::{
    Denoiser, Dimension, ExactPosterior, Kernel, Query, SampleRng, Stream, standard_normal,
};

fn golden() -> HashMap<String, Tensor> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/field.safetensors");
    candle_core::safetensors::load(path, &Device::Cpu).unwrap()
}

fn posterior(data: &Tensor, d: f64) -> ExactPosterior {
    ExactPosterior::new(data, Dimension::new(d).unwrap()).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    let tensor = tensor.to_dtype(DType::F64).unwrap();
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn normal(seed: u64, points: usize, n: usize) -> Tensor {
    let mut rngs = SampleRng::batch(seed, Stream::Other(0), 0, points);
    standard_normal(&[n], &mut rngs, DType::F64, &Device::Cpu).unwrap()
}

fn largest_difference(got: &Tensor, want: &Tensor) -> f64 {
    let pairs = values(got).into_iter().zip(values(want));
    pairs
        .map(|(got, want)| (got - want).abs())
        .fold(0.0, |a, b| {
            // Unlike `f64::max`, which hides a NaN.
            if b <= a { a } else { b }
        })
}

/// The definition, one sample and one point at a time.
fn mean_by_definition(data: &Tensor, d: f64, x: &Tensor, sigma: &[f64]) -> Tensor {
    let (data, rows) = (
        data.to_vec2::<f64>().unwrap(),
        x.to_dtype(DType::F64).unwrap().to_vec2::<f64>().unwrap(),
    );
    let n = rows[0].len();
    let mut means = Vec::new();
    for (x, sigma) in rows.iter().zip(sigma) {
        let ln_w: Vec<f64> = data
            .iter()
            .map(|y| {
                let square: f64 = x.iter().zip(y).map(|(x, y)| (x - y).powi(2)).sum();
                if d.is_infinite() {
                    -square / (2.0 * sigma * sigma)
                } else {
                    -0.5 * (n as f64 + d) * (square / (d * sigma * sigma)).ln_1p()
                }
            })
            .collect();
        let largest = ln_w.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let w: Vec<f64> = ln_w.iter().map(|ln_w| (ln_w - largest).exp()).collect();
        let total: f64 = w.iter().sum();
        means.extend((0..n).map(|k| {
            let terms = w.iter().zip(&data).map(|(w, y)| w * y[k]);
            terms.sum::<f64>() / total
        }));
    }
    Tensor::from_vec(means, (rows.len(), n), &Device::Cpu).unwrap()
}

#[test]
fn posterior_means_equal_the_golden_ones() {
    let golden = golden();
    for (tag, d) in [
        ("0.5", 0.5),
        ("1", 1.0),
        ("4.5", 4.5),
        ("128", 128.0),
        ("1e+06", 1e6),
        ("inf", f64::INFINITY),
    ] {
        // The golden means belong to the prior draws of sigma 80, brought down to unit scale.
        let x = (&golden[&format!("{tag}.x0")] / 80.0).unwrap();
        let got = posterior(&golden["data"], d)
            .denoise(&Query::new(&x, &[0.7; 5]))
            .unwrap();
        let want = &golden[&format!("{tag}.posterior_mean_at_0.7")];
        assert_eq!(got.dims(), want.dims(), "d {tag}");
        let error = largest_difference(&got, want);
        assert!(
            error < 1e-9,
            "d {tag}: got {got} want {want} off by {error}"
        );
    }
}

/// Every tile, block and segment has an uneven end here; each sample has its own noise level.
#[test]
fn the_stream_is_the_sum_over_the_data() {
    for (points, batch, n) in [
        (1, 1, 1),
        (3, 2, 1),
        (700, 200, 3),
        (2100, 5, 70),
        (61, 20, 40_000),
    ] {
        let data = (normal(1, points, n) + 3.0).unwrap();
        let sigma: Vec<f64> = (0..batch).map(|b| 0.02 * 1.05f64.powi(b)).collect();
        let picked: Vec<u32> = (0..batch as u32).map(|b| b % points as u32).collect();
        let picked = Tensor::new(picked, &Device::Cpu).unwrap();
        let y = data.index_select(&picked, 0).unwrap();
        for d in [0.5, 1.0, 128.0, 1e12, f64::INFINITY] {
            let kernel = Kernel::new(n, Dimension::new(d).unwrap()).unwrap();
            let mut rngs = SampleRng::batch(2, Stream::Training, 0, sigma.len());
            let x = kernel.perturb(&y, &sigma, &mut rngs).unwrap();
            let got = posterior(&data, d).mean(&x, &sigma).unwrap();
            let want = mean_by_definition(&data, d, &x, &sigma);
            let error = largest_difference(&got, &want);
            // The definition itself loses about 1e-16 (N+D)/2 at D = 1e12 for want of a common scale.
            let tolerance = if d == 1e12 { 1e-6 } else { 1e-9 };
            assert!(
                error < tolerance,
                "{points} points, batch {batch}, n {n}, d {d}: off by {error}, want below {tolerance}"
            );
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let data = normal(1, 3000, 50);
    let x = (normal(2, 300, 50) * 2.0).unwrap();
    let sigma = vec![0.9; 300];
    let posterior = posterior(&data, 3.0);
    let with_threads = |count| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(count).build();
        let mean = pool.unwrap().install(|| posterior.mean(&x, &sigma));
        values(&mean.unwrap())
    };
    let (got, want) = (with_threads(3), with_threads(1));
    assert!(got == want, "means of 3 threads differ from those of 1");
}

#[test]
fn single_precision_is_close_to_double() {
    let data = (normal(1, 500, 768) * 0.5).unwrap();
    let sigma: Vec<f64> = (0..64).map(|b| 0.01 * 1.15f64.powi(b)).collect();
    for d in [1.0, 128.0, f64::INFINITY] {
        let kernel = Kernel::new(768, Dimension::new(d).unwrap()).unwrap();
        let mut rngs = SampleRng::batch(2, Stream::Training, 0, 64);
        let y = data.narrow(0, 0, 64).unwrap();
        let x = kernel.perturb(&y, &sigma, &mut rngs).unwrap();
        let want = posterior(&data, d).mean(&x, &sigma).unwrap();
        let data = data.to_dtype(DType::F32).unwrap();
        let got = posterior(&data, d)
            .mean(&x.to_dtype(DType::F32).unwrap(), &sigma)
            .unwrap();
        assert_eq!(got.dtype(), DType::F32);
        let error = largest_difference(&got, &want);
        assert!(error < 1e-4, "d {d}: off by {error}, want below 1e-4");
    }
}

/// Points 1e4 apart from the origin and 1 apart from each other: without a centre, f32 would keep
/// no more than three digits of their distances.
#[test]
fn a_shift_of_data_and_samples_shifts_the_mean() {
    let data = normal(1, 400, 64);
    let x = normal(2, 30, 64);
    let want = posterior(&data, 8.0).mean(&x, &[0.8; 30]).unwrap();
    let far = |t: &Tensor| (t + 1e4).unwrap().to_dtype(DType::F32).unwrap();
    let got = posterior(&far(&data), 8.0).mean(&far(&x), &[0.8; 30]);
    let error = largest_difference(
        &(got.unwrap().to_dtype(DType::F64).unwrap() - 1e4).unwrap(),
        &want,
    );
    // Half an f32 step at 1e4 is 5e-4; it enters the data, the samples and the mean.
    assert!(error < 2e-2, "off by {error}, want below 0.02");
}

#[test]
fn without_noise_a_data_point_denoises_to_itself() {
    let data = normal(1, 300, 5);
    for d in [0.5, 1.0, 128.0, 1e12, f64::INFINITY] {
        let got = posterior(&data, d).mean(&data, &vec![0.0; 300]).unwrap();
        let error = largest_difference(&got, &data);
        assert!(error < 1e-6, "d {d}: off by {error}, want the point itself");
    }
}

#[test]
fn diffusion_without_noise_gives_the_nearest_points() {
    let data = Tensor::new(&[[0.0], [1.0], [3.0]], &Device::Cpu).unwrap();
    let x = Tensor::new(&[[0.4], [0.5], [2.1], [-7.0]], &Device::Cpu).unwrap();
    let got = posterior(&data, f64::INFINITY).mean(&x, &[0.0; 4]).unwrap();
    // 0.5 is equally far from 0 and 1.
    let error = largest_difference(
        &got,
        &Tensor::new(&[0.0, 0.5, 3.0, 0.0], &Device::Cpu).unwrap(),
    );
    assert!(error < 1e-6, "got {:?}, want [0, 0.5, 3, 0]", values(&got));
}

#[test]
fn no_finite_input_gives_nan() {
    let data = normal(1, 40, 6);
    for dtype in [DType::F32, DType::F64] {
        let extremes: &[f64] = match dtype {
            DType::F32 => &[0.0, 1e-30, 1.0, 1e18, 1e30, 3e38],
            _ => &[0.0, 1e-300, 1.0, 1e100, 1e200, 1.7e308],
        };
        for d in [1e-300, 0.5, 1.0, 1e12, 1e300, f64::INFINITY] {
            let posterior = posterior(&data.to_dtype(dtype).unwrap(), d);
            for &scale in extremes {
                for sigma in [0.0, 1e-300, 1e-9, 1.0, 1e150, 1.7e308] {
                    let x = (normal(3, 4, 6).tanh().unwrap() * scale).unwrap();
                    let got = posterior.mean(&x.to_dtype(dtype).unwrap(), &[sigma; 4]);
                    let got = values(&got.unwrap());
                    // A mean of the data lies within their bounds.
                    assert!(
                        got.iter().all(|v| v.abs() < 5.0),
                        "d {d}, x of size {scale:e}, sigma {sigma:e}: got {got:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_sample_that_is_not_a_number_leaves_the_others_alone() {
    let data = normal(1, 40, 2);
    let x = Tensor::new(&[[0.1, 0.2], [f64::NAN, 0.0], [0.1, 0.2]], &Device::Cpu).unwrap();
    let got = posterior(&data, 4.0).mean(&x, &[0.5; 3]).unwrap();
    let got = got.to_vec2::<f64>().unwrap();
    assert!(got[1].iter().all(|v| v.is_nan()), "got {got:?}");
    assert_eq!(got[0], got[2]);
    assert!(got[0].iter().all(|v| v.is_finite()), "got {got:?}");
}

#[test]
fn data_and_samples_that_do_not_fit_are_refused() {
    let data = normal(1, 4, 6);
    let new = |data: &Tensor| {
        let posterior = ExactPosterior::new(data, Dimension::Finite(1.0));
        posterior.unwrap_err().to_string()
    };
    let empty = Tensor::zeros((0, 6), DType::F32, &Device::Cpu).unwrap();
    assert_eq!(
        new(&empty),
        "data must have shape [points, ...] with at least one value, got shape [0, 6]"
    );
    assert_eq!(
        new(&data.to_dtype(DType::U8).unwrap()),
        "dtype must be f32 or f64, got u8"
    );
    let broken = Tensor::new(&[[0.0, 1.0], [f64::NAN, 0.0]], &Device::Cpu).unwrap();
    assert_eq!(
        new(&broken),
        "data[1] must be finite with a finite squared norm"
    );
    let posterior = posterior(&data, 1.0);
    let mean = |x: &Tensor, sigma: &[f64]| posterior.mean(x, sigma).unwrap_err().to_string();
    assert_eq!(
        mean(&normal(1, 2, 5), &[1.0; 2]),
        "x must have n = 6 values per sample, as the data have, got shape [2, 5]"
    );
    assert_eq!(
        mean(&data, &[1.0; 3]),
        "sigma must have one entry for each of the 4 samples, got 3"
    );
    assert_eq!(
        mean(&data, &[1.0, 2.0, -1.0, 0.0]),
        "sigma[2] must be a finite number of at least 0, got -1"
    );
}
