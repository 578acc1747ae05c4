//! Heun's method and the sampler on problems with known solutions.

use candle_core::{DType, Device, Result, Tensor};
use pfgmpp_kernel::{Denoiser, Dimension, Kernel};
use pfgmpp_sampler::{DenoiserSlope, Sampler, Slope, Solver, heun};
use pfgmpp_transfer::EdmSchedule;

/// `E[y | x]` of Gaussian data N(0, 1) at D = ∞; the exact flow is `x(sigma) ∝ sqrt(1 + sigma²)`.
struct StandardNormal;

impl Denoiser for StandardNormal {
    fn denoise(&self, x: &Tensor, sigma: &[f64], _: Option<&Tensor>) -> Result<Tensor> {
        let shrink: Vec<f64> = sigma.iter().map(|s| 1.0 / (1.0 + s * s)).collect();
        let shrink = Tensor::from_vec(shrink, (sigma.len(), 1), x.device())?;
        x.broadcast_mul(&shrink.to_dtype(x.dtype())?)
    }
}

/// One data point at 3 in every coordinate, whatever x is.
struct OnePoint;

impl Denoiser for OnePoint {
    fn denoise(&self, x: &Tensor, _: &[f64], _: Option<&Tensor>) -> Result<Tensor> {
        x.ones_like()? * 3.0
    }
}

fn sampler(num_steps: usize) -> Sampler {
    Sampler {
        solver: Solver::Heun,
        schedule: EdmSchedule {
            num_steps,
            sigma_min: 0.002,
            sigma_max: 80.0,
            rho: 7.0,
        },
    }
}

fn error_of(num_steps: usize) -> f64 {
    let slope = DenoiserSlope::new(&StandardNormal, None);
    let mut sigmas = sampler(num_steps).schedule.sigmas();
    sigmas.pop();
    let x = Tensor::new(&[[80.0f64]], &Device::Cpu).unwrap();
    let got = heun(&slope, x, &sigmas).unwrap().to_vec2::<f64>().unwrap()[0][0];
    let want = 80.0 * ((1.0 + 0.002f64.powi(2)) / (1.0 + 80.0f64.powi(2))).sqrt();
    (got - want).abs()
}

#[test]
fn heun_is_second_order() {
    for num_steps in [64, 128, 256] {
        let order = (error_of(num_steps) / error_of(2 * num_steps)).log2();
        assert!(
            (order - 2.0).abs() < 0.1,
            "{num_steps} steps: got order {order}, want 2"
        );
    }
}

#[test]
fn the_slope_is_the_noise_over_sigma() {
    let slope = DenoiserSlope::new(&OnePoint, None);
    let x = Tensor::new(&[[7.0f64, 1.0]], &Device::Cpu).unwrap();
    let got = slope.slope(&x, 2.0).unwrap().to_vec2::<f64>().unwrap();
    assert_eq!(got, [[2.0, -1.0]]);
}

#[test]
fn every_d_reaches_the_data_exactly() {
    for d in [0.5, 1.0, 8.0, 2048.0, f64::INFINITY] {
        let kernel = Kernel::new(4, Dimension::new(d).unwrap()).unwrap();
        let x = sampler(18).sample(&OnePoint, &kernel, &[1, 2, 2], &[0, 1, 2], &Device::Cpu);
        let x = x.unwrap();
        assert_eq!((x.dims(), x.dtype()), (&[3, 1, 2, 2][..], DType::F32));
        for got in x.flatten_all().unwrap().to_vec1::<f32>().unwrap() {
            // The state starts at up to 1e5 or so in f64: 1e5 * 2^-52 * 18 steps is far below 1e-6.
            assert!((got - 3.0).abs() < 1e-6, "d {d}: got {got}, want 3");
        }
    }
}

#[test]
fn a_seed_gives_the_same_sample_in_any_batch() {
    let kernel = Kernel::new(4, Dimension::new(1.0).unwrap()).unwrap();
    let sample = |seeds: &[u64]| {
        let x = sampler(18).sample(&StandardNormal, &kernel, &[4], seeds, &Device::Cpu);
        x.unwrap().to_vec2::<f32>().unwrap()
    };
    let together = sample(&[7, 8, 9]);
    assert_eq!(together[1], sample(&[8])[0]);
    assert_eq!(together[0], sample(&[9, 7])[1]);
    assert_ne!(together[0], together[1]);
}
