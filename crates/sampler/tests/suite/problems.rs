//! Denoisers whose ODE is solved.

use candle_core::{Device, Result, Tensor};
use pfgmpp_kernel::{Denoiser, Dimension, ExactPosterior};
use pfgmpp_sampler::{DenoiserSlope, Rk45, rk45};
use pfgmpp_transfer::{EdmSchedule, GeometricSchedule, Schedule};

/// `E[y | x]` of Gaussian data N(0, 1) at D = ∞.
pub struct StandardNormal;

impl Denoiser for StandardNormal {
    fn denoise(&self, x: &Tensor, sigma: &[f64], _: Option<&Tensor>) -> Result<Tensor> {
        let shrink: Vec<f64> = sigma.iter().map(|s| 1.0 / (1.0 + s * s)).collect();
        let shrink = Tensor::from_vec(shrink, (sigma.len(), 1), x.device())?;
        x.broadcast_mul(&shrink.to_dtype(x.dtype())?)
    }
}

impl StandardNormal {
    /// The exact flow of `x` from `sigma_max` to `sigma_min`: `x ∝ sqrt(1 + sigma²)`.
    pub fn flow(x: f64, sigma_max: f64, sigma_min: f64) -> f64 {
        x * ((1.0 + sigma_min.powi(2)) / (1.0 + sigma_max.powi(2))).sqrt()
    }
}

/// One data point at 3 in every coordinate, whatever x is.
pub struct OnePoint;

impl Denoiser for OnePoint {
    fn denoise(&self, x: &Tensor, _: &[f64], _: Option<&Tensor>) -> Result<Tensor> {
        x.ones_like()? * 3.0
    }
}

/// Five points in the plane.
pub fn five_points(d: f64) -> ExactPosterior {
    let points = [
        [0.9, 0.1],
        [-0.4, 0.8],
        [-0.7, -0.6],
        [0.3, -1.0],
        [0.0, 0.2],
    ];
    let points: Vec<f64> = points.into_iter().flatten().collect();
    let points = Tensor::from_vec(points, (5, 2), &Device::Cpu).unwrap();
    ExactPosterior::new(&points, Dimension::new(d).unwrap()).unwrap()
}

/// Three samples in the plane at noise level [`SIGMA_MAX`].
pub fn three_samples() -> Tensor {
    Tensor::new(&[[9.0, -4.0], [-2.0, 13.0], [-30.0, -20.0]], &Device::Cpu).unwrap()
}

pub const SIGMA_MAX: f64 = 10.0;
pub const SIGMA_MIN: f64 = 0.3;

/// Where [`three_samples`] are at [`SIGMA_MIN`] under [`five_points`], to about 1e-11.
pub fn fine_solution(posterior: &ExactPosterior) -> Vec<f64> {
    let slope = DenoiserSlope::new(posterior, None);
    let tolerance = Rk45 {
        rtol: 1e-12,
        atol: 1e-12,
    };
    let x = rk45(&slope, three_samples(), &[SIGMA_MAX, SIGMA_MIN], &tolerance).unwrap();
    values(&x)
}

/// Levels even in `ln sigma` between [`SIGMA_MAX`] and [`SIGMA_MIN`].
pub fn geometric(num_steps: usize) -> Schedule {
    Schedule::Geometric(GeometricSchedule {
        num_steps,
        sigma_min: SIGMA_MIN,
        sigma_max: SIGMA_MAX,
    })
}

/// The schedule of EDM.
pub fn edm(num_steps: usize) -> Schedule {
    Schedule::Edm(EdmSchedule {
        num_steps,
        sigma_min: 0.002,
        sigma_max: 80.0,
        rho: 7.0,
    })
}

/// The values of a tensor in order.
pub fn values(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor.to_dtype(candle_core::DType::F64).unwrap();
    flat.flatten_all().unwrap().to_vec1().unwrap()
}

/// The largest difference of two lists of equal length.
pub fn largest_difference(got: &[f64], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    let differences = got.iter().zip(want).map(|(g, w)| (g - w).abs());
    differences.fold(0.0, f64::max)
}
