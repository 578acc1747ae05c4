//! Samplers on problems with known solutions.

use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{DType, Device, Result, Tensor};
use pfgmpp_kernel::{
    ConditionSpec, Denoiser, Dimension, ExactPosterior, Kernel, Query, SampleRng, Stream,
    standard_normal,
};
use pfgmpp_sampler::{
    DenoiserSlope, Evaluation, Sampler, Slope, Solver, Tolerance, Watch, euler, heun, rk45,
};
use pfgmpp_transfer::{EdmSchedule, GeometricSchedule, Schedule};

/// `E[y | x]` of Gaussian data N(0, 1) at D = ∞; the exact flow is `x(sigma) ∝ sqrt(1 + sigma²)`.
struct StandardNormal;

impl Denoiser for StandardNormal {
    fn takes(&self) -> ConditionSpec {
        ConditionSpec::NONE
    }

    fn denoise(&self, &Query { x, sigma, .. }: &Query) -> Result<Tensor> {
        let shrink: Vec<f64> = sigma.iter().map(|s| 1.0 / (1.0 + s * s)).collect();
        let shrink = Tensor::from_vec(shrink, (sigma.len(), 1), x.device())?;
        x.broadcast_mul(&shrink.to_dtype(x.dtype())?)
    }
}

/// One data point at 3 in every coordinate, whatever x is.
struct OnePoint;

impl Denoiser for OnePoint {
    fn takes(&self) -> ConditionSpec {
        ConditionSpec::NONE
    }

    fn denoise(&self, &Query { x, .. }: &Query) -> Result<Tensor> {
        x.ones_like()? * 3.0
    }
}

fn unwatched() -> Box<Watch<'static>> {
    Box::new(|_, _, _| Ok(()))
}

fn edm(num_steps: usize) -> Schedule {
    Schedule::Edm(EdmSchedule {
        num_steps,
        sigma_min: 0.002,
        sigma_max: 80.0,
        rho: 7.0,
    })
}

fn geometric(num_steps: usize) -> Vec<f64> {
    GeometricSchedule {
        num_steps,
        sigma_min: 0.01,
        sigma_max: 20.0,
    }
    .sigmas()
}

const RK45: Solver = Solver::Rk45 {
    rtol: 1e-5,
    atol: 1e-5,
};

type Method = fn(&dyn Slope, Tensor, &[f64]) -> Result<Tensor>;

fn by_euler(slope: &dyn Slope, x: Tensor, sigmas: &[f64]) -> Result<Tensor> {
    euler(slope, x, sigmas, None, &mut unwatched())
}

fn by_heun(slope: &dyn Slope, x: Tensor, sigmas: &[f64]) -> Result<Tensor> {
    heun(slope, x, sigmas, None, &mut unwatched())
}

fn by_rk45(slope: &dyn Slope, x: Tensor, sigmas: &[f64], tolerance: f64) -> Result<Tensor> {
    let ends = [sigmas[0], sigmas[sigmas.len() - 1]];
    let tolerance = Tolerance {
        rtol: tolerance,
        atol: tolerance,
    };
    rk45(slope, x, ends, 20, tolerance, &mut unwatched())
}

/// The exact posterior of eight points in the plane and four states at sigma = 20.
fn exact_problem(d: f64) -> (ExactPosterior, Tensor) {
    let points: Vec<f64> = (0..16).map(|i| f64::from(i * 7 % 11) / 5.0 - 1.0).collect();
    let points = Tensor::from_vec(points, (8, 2), &Device::Cpu).unwrap();
    let posterior = ExactPosterior::new(&points, Dimension::new(d).unwrap()).unwrap();
    let mut rngs = SampleRng::batch(3, Stream::Other(0), 0, 4);
    let x = standard_normal(&[2], &mut rngs, DType::F64, &Device::Cpu).unwrap();
    (posterior, (x * 20.0).unwrap())
}

fn distance(a: &Tensor, b: &Tensor) -> f64 {
    let square = (a - b).unwrap().sqr().unwrap().mean_all().unwrap();
    square.to_scalar::<f64>().unwrap().sqrt()
}

/// The observed order: log2 of the ratio of the errors of K and 2 K steps.
fn order(method: Method, slope: &dyn Slope, x: &Tensor, want: &Tensor, num_steps: usize) -> f64 {
    let error = |num_steps| {
        let got = method(slope, x.clone(), &geometric(num_steps)).unwrap();
        distance(&got, want)
    };
    (error(num_steps) / error(2 * num_steps)).log2()
}

#[test]
fn euler_is_first_order_and_heun_second_on_gaussian_data() {
    let slope = DenoiserSlope::new(&StandardNormal, None);
    let x = Tensor::new(&[[20.0f64], [-3.0]], &Device::Cpu).unwrap();
    let factor = ((1.0 + 0.01f64.powi(2)) / (1.0 + 20.0f64.powi(2))).sqrt();
    let want = (&x * factor).unwrap();
    for num_steps in [64, 128, 256] {
        for (name, method, wanted) in [("euler", by_euler as Method, 1.0), ("heun", by_heun, 2.0)] {
            let got = order(method, &slope, &x, &want, num_steps);
            println!("{name}, {num_steps} steps: order {got:.3}");
            assert!(
                (got - wanted).abs() < 0.15,
                "{name}, {num_steps} steps: got order {got}, want {wanted}"
            );
        }
    }
}

#[test]
fn the_orders_hold_on_the_exact_posterior_at_every_d() {
    for d in [1.0, 8.0, f64::INFINITY] {
        let (posterior, x) = exact_problem(d);
        let slope = DenoiserSlope::new(&posterior, None);
        let want = by_rk45(&slope, x.clone(), &geometric(1), 1e-12).unwrap();
        for (name, method, wanted) in [("euler", by_euler as Method, 1.0), ("heun", by_heun, 2.0)] {
            let got = order(method, &slope, &x, &want, 2048);
            println!("d {d}, {name}: order {got:.3}");
            assert!(
                (got - wanted).abs() < 0.15,
                "d {d}, {name}: got order {got}, want {wanted}"
            );
        }
    }
}

#[test]
fn rk45_reaches_its_tolerance() {
    let slope = DenoiserSlope::new(&StandardNormal, None);
    let x = Tensor::new(&[[20.0f64], [-3.0]], &Device::Cpu).unwrap();
    let factor = ((1.0 + 0.01f64.powi(2)) / (1.0 + 20.0f64.powi(2))).sqrt();
    let want = (&x * factor).unwrap();
    for (d, reference) in [(f64::NAN, Some(want)), (1.0, None), (8.0, None)] {
        let (posterior, start) = exact_problem(if d.is_nan() { 1.0 } else { d });
        let exact = DenoiserSlope::new(&posterior, None);
        let (slope, x, want): (&dyn Slope, _, _) = match reference {
            Some(want) => (&slope, x.clone(), want),
            None => {
                let want = by_heun(&exact, start.clone(), &geometric(60_000)).unwrap();
                (&exact, start, want)
            }
        };
        for tolerance in [1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8] {
            let got = by_rk45(slope, x.clone(), &geometric(1), tolerance).unwrap();
            let error = distance(&got, &want);
            println!("d {d}, tolerance {tolerance:e}: error {error:.1e}");
            // Errors of single steps add up: some steps' worth is the tolerance of the whole.
            assert!(
                error < 20.0 * tolerance,
                "d {d}: got error {error:e}, want about {tolerance:e}"
            );
        }
    }
}

#[test]
fn rk45_takes_more_steps_where_the_slope_bends() {
    let (posterior, x) = exact_problem(1.0);
    let slope = DenoiserSlope::new(&posterior, None);
    let mut sigmas = Vec::new();
    let mut watch = |samples: &[usize], sigma: &[f64], _: &Tensor| {
        sigmas.extend(
            samples
                .iter()
                .zip(sigma)
                .filter(|(s, _)| **s == 0)
                .map(|(_, v)| *v),
        );
        Ok(())
    };
    let tolerance = Tolerance {
        rtol: 1e-9,
        atol: 1e-9,
    };
    rk45(&slope, x, [20.0, 1e-3], 20, tolerance, &mut watch).unwrap();
    let within = |low: f64, high: f64| sigmas.iter().filter(|s| (low..high).contains(*s)).count();
    // The points are about 0.5 apart: there the posterior changes, at 1e-2 it is settled.
    let (bent, straight) = (within(0.1, 1.0), within(1e-3, 1e-2));
    assert!(
        bent > 2 * straight,
        "got {bent} steps, and {straight} where it is straight"
    );
    assert!((sigmas[sigmas.len() - 1] / 1e-3 - 1.0).abs() < 1e-12);
}

/// A slope that depends on sigma alone, and how often it was asked for.
struct Curve(fn(f64) -> f64, AtomicUsize);

impl Slope for Curve {
    fn evaluate(&self, x: &Tensor, sigma: &[f64], _: Option<&Tensor>) -> Result<Evaluation> {
        self.1.fetch_add(1, Ordering::Relaxed);
        let slope: Vec<f64> = sigma.iter().map(|s| (self.0)(*s)).collect();
        let slope = Tensor::from_vec(slope, (sigma.len(), 1), x.device())?;
        let denoised = x.clone();
        Ok(Evaluation { slope, denoised })
    }
}

/// The error of a curve that rk45 gives up, and its evaluations.
fn given_up(curve: fn(f64) -> f64) -> (String, usize) {
    let slope = Curve(curve, AtomicUsize::new(0));
    let x = Tensor::new(&[[1.0f64]], &Device::Cpu).unwrap();
    let got = by_rk45(&slope, x, &geometric(1), 1e-10).unwrap_err();
    (got.to_string(), slope.1.load(Ordering::Relaxed))
}

#[test]
fn a_problem_without_an_end_is_given_up_in_one_line() {
    let (got, _) = given_up(|sigma| (1e6 * sigma.ln()).cos() / sigma);
    assert!(got.contains("rk45 did not reach sigma"), "got {got}");
}

#[test]
fn a_slope_that_is_no_number_or_jumps_everywhere_is_given_up_at_once() {
    let broken = given_up(|sigma| if sigma < 1.0 { f64::NAN } else { 1.0 });
    let rough = given_up(|sigma| 1e9 * (sigma * 1e12).sin());
    for (got, evaluations) in [broken, rough] {
        assert!(got.contains("rk45 finds no step at sigma"), "got {got}");
        assert!(evaluations < 1000, "got {evaluations} evaluations: {got}");
    }
}

#[test]
fn the_slope_is_the_noise_over_sigma() {
    let slope = DenoiserSlope::new(&OnePoint, None);
    let x = Tensor::new(&[[7.0f64, 1.0], [5.0, 3.0]], &Device::Cpu).unwrap();
    let got = slope.evaluate(&x, &[2.0, 4.0], None).unwrap();
    let slope = got.slope.to_vec2::<f64>().unwrap();
    assert_eq!(slope, [[2.0, -1.0], [0.5, 0.0]]);
}

#[test]
fn every_d_and_solver_reaches_the_data_exactly() {
    for d in [0.5, 1.0, 8.0, 2048.0, f64::INFINITY] {
        for solver in [Solver::Euler, Solver::Heun, RK45] {
            let kernel = Kernel::new(4, Dimension::new(d).unwrap()).unwrap();
            let sampler = Sampler::new(solver, edm(18));
            let x = sampler.sample(&OnePoint, &kernel, &[1, 2, 2], &[0, 1, 2], &Device::Cpu);
            let x = x.unwrap();
            assert_eq!((x.dims(), x.dtype()), (&[3, 1, 2, 2][..], DType::F32));
            for got in x.flatten_all().unwrap().to_vec1::<f32>().unwrap() {
                assert!(
                    (got - 3.0).abs() < 1e-5,
                    "d {d}, {solver:?}: got {got}, want 3"
                );
            }
        }
    }
}

#[test]
fn a_seed_gives_the_same_sample_in_any_batch() {
    let (posterior, _) = exact_problem(1.0);
    let kernel = Kernel::new(2, Dimension::new(1.0).unwrap()).unwrap();
    for solver in [Solver::Euler, Solver::Heun, RK45] {
        let sample = |seeds: &[u64]| {
            let sampler = Sampler::new(solver, edm(18));
            let x = sampler.sample(&posterior, &kernel, &[2], seeds, &Device::Cpu);
            x.unwrap().to_vec2::<f32>().unwrap()
        };
        let together = sample(&[7, 8, 9]);
        assert_eq!(together[1], sample(&[8])[0], "{solver:?}");
        assert_eq!(together[0], sample(&[9, 7])[1], "{solver:?}");
        assert_ne!(together[0], together[1]);
    }
}

#[test]
fn the_norm_of_the_prior_is_held_to_its_bounds() {
    let kernel = Kernel::new(4, Dimension::new(1.0).unwrap()).unwrap();
    let mut sampler = Sampler::new(Solver::Heun, edm(18));
    sampler.prior_radius = Some([100.0, 200.0]);
    let seeds: Vec<u64> = (0..200).collect();
    let paths = sampler
        .trace(&OnePoint, &kernel, &[4], &seeds, &Device::Cpu)
        .unwrap();
    let norms: Vec<f64> = paths
        .iter()
        .map(|path| path.x[..4].iter().map(|v| v * v).sum::<f64>().sqrt())
        .collect();
    let at = |want: f64| {
        norms
            .iter()
            .filter(|r| (*r / want - 1.0).abs() < 1e-12)
            .count()
    };
    assert!(
        norms
            .iter()
            .all(|r| (100.0 - 1e-9..200.0 + 1e-9).contains(r))
    );
    assert!(
        at(100.0) > 5 && at(200.0) > 20,
        "got {} and {}",
        at(100.0),
        at(200.0)
    );
}

#[test]
fn a_trace_ends_at_the_sample() {
    let (posterior, _) = exact_problem(8.0);
    let kernel = Kernel::new(2, Dimension::new(8.0).unwrap()).unwrap();
    for solver in [Solver::Euler, Solver::Heun, RK45] {
        let sampler = Sampler::new(solver, edm(18));
        let paths = sampler
            .trace(&posterior, &kernel, &[2], &[1, 2], &Device::Cpu)
            .unwrap();
        let samples = sampler
            .sample(&posterior, &kernel, &[2], &[1, 2], &Device::Cpu)
            .unwrap();
        for (path, sample) in paths.iter().zip(samples.to_vec2::<f32>().unwrap()) {
            assert_eq!(path.x.len(), 2 * path.sigma.len());
            assert_eq!(
                (path.sigma[0], path.sigma[path.sigma.len() - 1]),
                (80.0, 0.0)
            );
            let end: Vec<f32> = path.x[path.x.len() - 2..]
                .iter()
                .map(|v| *v as f32)
                .collect();
            assert_eq!(end, sample, "{solver:?}");
        }
    }
}
