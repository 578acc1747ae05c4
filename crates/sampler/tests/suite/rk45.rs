//! The solver that chooses its steps: its tolerance, its independence of the batch, its refusals.

use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{Device, Result, Tensor};
use pfgmpp_kernel::{Denoiser, Dimension, Kernel};
use pfgmpp_sampler::{DenoiserSlope, Evaluation, Rk45, Sampler, Slope, Solver, heun, rk45};

use crate::problems::{
    SIGMA_MAX, SIGMA_MIN, StandardNormal, edm, five_points, geometric, largest_difference,
    three_samples, values,
};

fn both(tolerance: f64) -> Rk45 {
    Rk45 {
        rtol: tolerance,
        atol: tolerance,
    }
}

#[test]
fn the_global_error_follows_the_tolerance() {
    let start = Tensor::new(&[[SIGMA_MAX], [-3.0]], &Device::Cpu).unwrap();
    let flow = |x| StandardNormal::flow(x, SIGMA_MAX, SIGMA_MIN);
    let want = [flow(SIGMA_MAX), flow(-3.0)];
    for exponent in 3..=8 {
        let tolerance = 10f64.powi(-exponent);
        let slope = DenoiserSlope::new(&StandardNormal, None);
        let sigmas = geometric(10).sigmas();
        let got = rk45(&slope, start.clone(), &sigmas, &both(tolerance)).unwrap();
        let error = largest_difference(&values(&got), &want);
        println!("tolerance {tolerance:e}: error {error:e}");
        // An error of one step at most the tolerance, over a handful of steps that damp it.
        assert!(
            (0.002 * tolerance..10.0 * tolerance).contains(&error),
            "tolerance {tolerance:e}: got error {error:e}"
        );
    }
}

#[test]
fn the_error_follows_the_tolerance_on_exact_posteriors() {
    for d in [1.0, 8.0] {
        let posterior = five_points(d);
        let slope = DenoiserSlope::new(&posterior, None);
        // Independent of the method under test: Heun twice, its second-order error extrapolated away.
        let of =
            |steps| values(&heun(&slope, three_samples(), &geometric(steps).sigmas()).unwrap());
        let (coarse, fine) = (of(4096), of(8192));
        let want: Vec<f64> = fine
            .iter()
            .zip(&coarse)
            .map(|(f, c)| f + (f - c) / 3.0)
            .collect();
        for exponent in 3..=8 {
            let tolerance = 10f64.powi(-exponent);
            let sigmas = geometric(10).sigmas();
            let got = rk45(&slope, three_samples(), &sigmas, &both(tolerance)).unwrap();
            let error = largest_difference(&values(&got), &want);
            println!("d = {d}, tolerance {tolerance:e}: error {error:e}");
            // States of up to 30 multiply rtol, and between data points errors grow on the way.
            assert!(
                (0.1 * tolerance..100.0 * tolerance).contains(&error),
                "d = {d}, tolerance {tolerance:e}: got error {error:e}"
            );
        }
    }
}

#[test]
fn a_sample_does_not_depend_on_its_batch() {
    let kernel = Kernel::new(2, Dimension::new(1.0).unwrap()).unwrap();
    let posterior = five_points(1.0);
    let sampler = Sampler {
        solver: Solver::Rk45(both(1e-5)),
        schedule: edm(18),
        prior_radius: None,
        churn: None,
    };
    let sample = |seeds: &[u64]| {
        let x = sampler.sample(&posterior, &kernel, &[2], seeds, &Device::Cpu);
        x.unwrap().to_vec2::<f32>().unwrap()
    };
    let seeds: Vec<u64> = (0..16).collect();
    let together = sample(&seeds);
    for &seed in &seeds {
        assert_eq!(together[seed as usize], sample(&[seed])[0], "seed {seed}");
    }
    let turned: Vec<u64> = seeds.iter().rev().copied().collect();
    let turned = sample(&turned);
    assert!(together.iter().eq(turned.iter().rev()));
}

/// Counts evaluations, and how many samples they had.
struct Counted<D> {
    inner: D,
    calls: AtomicUsize,
    samples: AtomicUsize,
}

impl<D> Counted<D> {
    fn new(inner: D) -> Self {
        Self {
            inner,
            calls: AtomicUsize::new(0),
            samples: AtomicUsize::new(0),
        }
    }
}

impl<D: Denoiser> Denoiser for Counted<D> {
    fn denoise(&self, x: &Tensor, sigma: &[f64], labels: Option<&Tensor>) -> Result<Tensor> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.samples.fetch_add(sigma.len(), Ordering::Relaxed);
        self.inner.denoise(x, sigma, labels)
    }
}

#[test]
fn finished_samples_leave_the_batch_and_zero_costs_nothing() {
    let counted = Counted::new(five_points(1.0));
    let slope = DenoiserSlope::new(&counted, None);
    // One sample on a data point's path, one far out, which takes more steps to tell the points apart.
    let x = Tensor::new(&[[1e5, 2e5], [0.4, -0.3]], &Device::Cpu).unwrap();
    let sigmas = [80.0, 20.0, 5.0, 0.01, 0.0];
    rk45(&slope, x, &sigmas, &both(1e-6)).unwrap();
    let calls = counted.calls.load(Ordering::Relaxed);
    let samples = counted.samples.load(Ordering::Relaxed);
    println!("{calls} calls with {samples} samples in all");
    assert_eq!(calls % 6, 1, "got {calls} calls, want one and six a step");
    assert!(samples < 2 * calls, "got {samples} in {calls} calls");
}

#[test]
fn the_first_trial_step_is_the_span_by_the_number_of_steps() {
    // So loose that every trial is accepted; the span is taken in steps that grow fivefold.
    let counted = Counted::new(StandardNormal);
    let slope = DenoiserSlope::new(&counted, None);
    let x = Tensor::new(&[[1e-9f64]], &Device::Cpu).unwrap();
    rk45(&slope, x, &geometric(7).sigmas(), &both(1.0)).unwrap();
    let calls = counted.calls.load(Ordering::Relaxed);
    // 1/7, then 5/7, then the last 1/7.
    assert_eq!(calls, 1 + 3 * 6);
}

/// A slope that the labels of each sample choose.
struct Labelled;

impl Denoiser for Labelled {
    fn denoise(&self, x: &Tensor, _: &[f64], labels: Option<&Tensor>) -> Result<Tensor> {
        labels.expect("labels are passed on").broadcast_as(x.dims())
    }
}

#[test]
fn labels_stay_with_their_samples() {
    let labels = Tensor::new(&[[1.0f64], [2.0], [3.0]], &Device::Cpu).unwrap();
    let x = Tensor::new(&[[1e6f64], [2.0], [-50.0]], &Device::Cpu).unwrap();
    let slope = DenoiserSlope::new(&Labelled, Some(&labels));
    let x = rk45(&slope, x, &[80.0, 0.002, 0.0], &both(1e-8)).unwrap();
    for (got, want) in values(&x).into_iter().zip([1.0, 2.0, 3.0]) {
        assert!((got - want).abs() < 1e-4, "got {got}, want {want}");
    }
}

#[test]
fn a_model_that_gives_nan_is_an_error_and_no_endless_loop() {
    #[derive(Clone)]
    struct Broken;
    impl Slope for Broken {
        fn slope(&self, x: &Tensor, sigma: &[f64], _: Option<&Tensor>) -> Result<Evaluation> {
            let broken = sigma.iter().any(|&s| s < 1.0);
            let slope = (x * if broken { f64::NAN } else { 0.0 })?;
            let denoised = x.clone();
            Ok(Evaluation { slope, denoised })
        }
        fn select(&self, _: &Tensor) -> Result<Self> {
            Ok(self.clone())
        }
    }
    let x = Tensor::new(&[[1.0f64]], &Device::Cpu).unwrap();
    let got = rk45(&Broken, x, &[10.0, 0.1], &both(1e-3)).unwrap_err();
    let got = got.to_string();
    assert!(got.contains("no step from sigma = 1."), "got {got}");
}

#[test]
fn too_many_steps_are_an_error_that_says_what_to_change() {
    #[derive(Clone)]
    struct Stiff;
    impl Slope for Stiff {
        fn slope(&self, x: &Tensor, sigma: &[f64], _: Option<&Tensor>) -> Result<Evaluation> {
            // dx/dsigma = 1e6 x: falling sigma damps x at a rate that explicit steps must follow.
            let _ = sigma;
            let (slope, denoised) = ((x * 1e6)?, x.clone());
            Ok(Evaluation { slope, denoised })
        }
        fn select(&self, _: &Tensor) -> Result<Self> {
            Ok(self.clone())
        }
    }
    let x = Tensor::new(&[[1.0f64]], &Device::Cpu).unwrap();
    let got = rk45(&Stiff, x, &[10.0, 0.1], &both(1e-6)).unwrap_err();
    let got = got.to_string();
    for want in ["10000 steps", "sample 0", "raise rtol or atol"] {
        assert!(got.contains(want), "got {got}, want {want}");
    }
}

#[test]
fn no_samples_are_no_work() {
    let counted = Counted::new(StandardNormal);
    let slope = DenoiserSlope::new(&counted, None);
    let x = Tensor::zeros((0, 1), candle_core::DType::F64, &Device::Cpu).unwrap();
    let got = rk45(&slope, x, &[80.0, 0.002, 0.0], &both(1e-3)).unwrap();
    assert_eq!(got.dims(), [0, 1]);
    assert_eq!(counted.calls.load(Ordering::Relaxed), 0);
}
