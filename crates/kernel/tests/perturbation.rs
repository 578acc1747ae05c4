//! Perturbing a batch: what it depends on, and what it refuses.

use candle_core::{DType, Device, Tensor};
use pfgmpp_kernel::{Dimension, Kernel, KernelError, SampleRng, Stream, standard_normal};

const CPU: &Device = &Device::Cpu;

fn kernel(n: usize, d: f64) -> Kernel {
    Kernel::new(n, Dimension::new(d).expect("positive d")).expect("valid kernel")
}

fn rngs(first: u64, count: usize) -> Vec<SampleRng> {
    SampleRng::batch(11, Stream::Training, first, count)
}

fn values(x: &Tensor) -> Vec<f64> {
    let flat = x.to_dtype(DType::F64).and_then(|x| x.flatten_all());
    flat.and_then(|x| x.to_vec1()).expect("values")
}

fn perturb(kernel: &Kernel, y: &Tensor, sigma: &[f64], first: u64) -> Tensor {
    let mut rngs = rngs(first, sigma.len());
    kernel.perturb(y, sigma, &mut rngs).expect("a valid batch")
}

#[test]
fn a_sample_does_not_depend_on_its_batch() {
    let kernel = kernel(12, 3.0);
    let y = Tensor::arange(0f32, 60.0, CPU)
        .and_then(|y| y.reshape((5, 3, 2, 2)))
        .expect("data");
    let sigma = [0.1, 1.0, 2.0, 5.0, 80.0];
    let whole = values(&perturb(&kernel, &y, &sigma, 40));
    for b in 0..5 {
        let alone = y.narrow(0, b, 1).expect("one sample");
        let got = values(&perturb(&kernel, &alone, &sigma[b..=b], 40 + b as u64));
        assert_eq!(got, whole[12 * b..12 * (b + 1)], "sample {b}");
    }
}

#[test]
fn a_batch_does_not_depend_on_the_threads() {
    let kernel = kernel(64, 128.0);
    let y = Tensor::zeros((32, 64), DType::F32, CPU).expect("data");
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.expect("a pool")
            .install(|| values(&perturb(&kernel, &y, &[1.0; 32], 0)))
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn single_precision_is_double_precision_rounded() {
    let kernel = kernel(100, 0.5);
    let mut rngs_32 = rngs(0, 8);
    let mut rngs_64 = rngs(0, 8);
    let single = kernel.prior(&[4, 25], 80.0, &mut rngs_32, DType::F32, CPU);
    let double = kernel.prior(&[4, 25], 80.0, &mut rngs_64, DType::F64, CPU);
    let (single, double) = (single.expect("f32 prior"), double.expect("f64 prior"));
    assert_eq!(single.dims(), [8, 4, 25]);
    for (got, want) in values(&single).into_iter().zip(values(&double)) {
        assert_eq!(got, f64::from(want as f32));
    }
}

#[test]
fn a_perturbation_is_the_data_plus_the_prior_of_its_noise_level() {
    let kernel = kernel(6, 8.0);
    let y = Tensor::arange(0f64, 18.0, CPU)
        .and_then(|y| y.reshape((3, 6)))
        .expect("data");
    let noise = kernel.prior(&[6], 2.5, &mut rngs(0, 3), DType::F64, CPU);
    let want = (&y + noise.expect("prior")).expect("sum");
    let got = perturb(&kernel, &y, &[2.5; 3], 0);
    assert_eq!(values(&got), values(&want));
}

#[test]
fn infinite_d_is_gaussian_noise_times_sigma() {
    let kernel = kernel(10, f64::INFINITY);
    let mut after_the_scale = rngs(0, 4);
    for rng in &mut after_the_scale {
        assert_eq!(kernel.draw_mixture_scale(rng), 1.0);
    }
    let noise = standard_normal(&[10], &mut after_the_scale, DType::F64, CPU);
    let want = (noise.expect("noise") * 3.0).expect("scaled");
    let got = kernel.prior(&[10], 3.0, &mut rngs(0, 4), DType::F64, CPU);
    assert_eq!(values(&got.expect("prior")), values(&want));
}

#[test]
fn noise_level_zero_leaves_the_data() {
    let kernel = kernel(4, 1.0);
    let y = Tensor::arange(0f32, 8.0, CPU)
        .and_then(|y| y.reshape((2, 4)))
        .expect("data");
    let got = perturb(&kernel, &y, &[0.0, 0.0], 0);
    assert_eq!(values(&got), values(&y));
}

#[test]
fn noise_is_finite_at_every_d_and_noise_level() {
    for d in [
        1e-300,
        1e-3,
        0.01,
        0.1,
        0.5,
        1.0,
        1e12,
        1e300,
        f64::INFINITY,
    ] {
        let kernel = kernel(4, d);
        for sigma in [1e-300, 1.0, 80.0, 1e30, 1e300] {
            for dtype in [DType::F32, DType::F64] {
                let x = kernel.prior(&[4], sigma, &mut rngs(0, 2000), dtype, CPU);
                let finite = values(&x.expect("prior")).iter().all(|x| x.is_finite());
                assert!(
                    finite,
                    "d = {d}, sigma = {sigma}, {dtype:?}: got inf or NaN"
                );
            }
        }
    }
}

/// What one generator gives at each D: the mixture scale, then noise.
fn at_every_d(ds: &[f64], seed: u64) -> Vec<(f64, Vec<f64>)> {
    let draw = |&d: &f64| {
        let mut rng = SampleRng::new(seed, Stream::Prior, 0);
        let scale = kernel(6, d).draw_mixture_scale(&mut rng);
        let noise = kernel(6, d).prior(&[6], 2.0, &mut rngs(seed, 1), DType::F64, CPU);
        (scale, values(&noise.expect("prior")))
    };
    ds.iter().map(draw).collect()
}

#[test]
fn one_seed_gives_one_direction_of_noise_at_every_d() {
    let ds = [0.5, 1.0, 1.9, 2.0, 3.0, 128.0, 1e6, 1e15, f64::INFINITY];
    for seed in 0..20 {
        let draws = at_every_d(&ds, seed);
        let gaussian = &draws[ds.len() - 1].1;
        for ((_, noise), d) in draws.iter().zip(ds) {
            let scale = noise[0] / gaussian[0];
            for (got, want) in noise.iter().zip(gaussian) {
                let want = want * scale;
                assert!(
                    (got - want).abs() < 1e-12 * want.abs(),
                    "seed {seed}, d {d}: got {got}, want {want}"
                );
            }
        }
    }
}

#[test]
fn one_seed_is_continuous_in_d_up_to_infinity() {
    for seed in 0..50 {
        for d in [0.5, 1.0, 2.0, 3.7, 128.0, 2048.0] {
            // ln w of one score moves with ln D at a bounded rate, about (1 + z²) / (2 D) at small D.
            let near = at_every_d(&[d * (1.0 - 1e-6), d, d * (1.0 + 1e-6)], seed);
            let ln: Vec<f64> = near.iter().map(|(scale, _)| scale.ln()).collect();
            for pair in ln.windows(2) {
                let got = (pair[1] - pair[0]).abs();
                assert!(
                    got < 1e-4,
                    "seed {seed}, d {d}: ln of the scale jumps by {got}"
                );
            }
        }
        let limit = at_every_d(&[1e15, f64::INFINITY], seed);
        for (got, want) in limit[0].1.iter().zip(&limit[1].1) {
            let apart = (got / want - 1.0).abs();
            // sqrt(w) - 1 is z / sqrt(2 D), 2e-8 for z = 1.
            assert!(apart < 2e-7, "seed {seed}: got {got}, want {want}");
        }
    }
}

#[test]
fn refusals_name_what_is_wrong() {
    let kernel = kernel(4, 2.0);
    let y = |dims: &[usize]| Tensor::zeros(dims, DType::F32, CPU).expect("data");
    let refuse = |y: &Tensor, sigma: &[f64], count| {
        let result = kernel.perturb(y, sigma, &mut rngs(0, count));
        result.expect_err("a refused batch").to_string()
    };
    let cases = [
        (
            refuse(&y(&[2, 5]), &[1.0; 2], 2),
            "a sample must have n = 4 values, got 5 (shape [5])",
        ),
        (
            refuse(&y(&[2, 4]), &[1.0; 3], 2),
            "sigma must have one entry for each of the 2 samples, got 3",
        ),
        (
            refuse(&y(&[2, 4]), &[1.0; 2], 1),
            "rngs must have one entry for each of the 2 samples, got 1",
        ),
        (
            refuse(&y(&[2, 4]), &[1.0, -0.5], 2),
            "sigma[1] must be a finite number of at least 0, got -0.5",
        ),
        (
            refuse(&y(&[2, 4]), &[f64::NAN, 1.0], 2),
            "sigma[0] must be a finite number of at least 0, got NaN",
        ),
    ];
    for (got, want) in cases {
        assert_eq!(got, want);
    }
    let half = y(&[2, 4]).to_dtype(DType::F16).expect("f16");
    assert_eq!(
        refuse(&half, &[1.0; 2], 2),
        "dtype must be f32 or f64, got f16"
    );
}

#[test]
fn a_kernel_needs_data_and_a_positive_d() {
    let error = Kernel::new(0, Dimension::Infinite).expect_err("no data");
    assert_eq!(error.to_string(), "n must be at least 1, got 0");
    let error = Kernel::new(1, Dimension::Finite(-2.0)).expect_err("negative d");
    assert!(matches!(error, KernelError::Dimension(_)), "got {error:?}");
    let error = kernel(1, 1.0).radius_law(0.0).expect_err("zero sigma");
    assert_eq!(
        error.to_string(),
        "sigma must be a positive finite number, got 0"
    );
}
