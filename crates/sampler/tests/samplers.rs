//! Samplers on problems with known solutions.

use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{DType, Device, Result, Tensor};
use pfgmpp_kernel::{
    Condition, ConditionSpec, Denoiser, Dimension, ExactPosterior, Kernel, Query, SampleRng,
    Stream, standard_normal,
};
use pfgmpp_sampler::{
    ChurnConfig, ChurnKind, Euler, Heun, Integration, Rk45, Sampler, SamplerConfig, Solver,
    SolverConfig, UnipcVariant, Watch,
};
use pfgmpp_transfer::{EdmSchedule, GeometricSchedule, Levels, Schedule};

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

fn edm(num_steps: usize) -> Schedule {
    Schedule::Edm(EdmSchedule {
        num_steps,
        sigma_min: 0.002,
        sigma_max: 80.0,
        rho: 7.0,
    })
}

fn geometric(num_steps: usize) -> Levels {
    let (sigma_min, sigma_max) = (0.01, 20.0);
    let geometric = GeometricSchedule {
        num_steps,
        sigma_min,
        sigma_max,
    };
    Schedule::Geometric(geometric).levels().unwrap()
}

const EVERY: [SolverConfig; 3] = [
    SolverConfig::Euler,
    SolverConfig::Heun,
    SolverConfig::Rk45 {
        rtol: 1e-5,
        atol: 1e-5,
    },
];

fn rk45(tolerance: f64) -> Rk45 {
    Rk45 {
        rtol: tolerance,
        atol: tolerance,
    }
}

fn sampler(solver: SolverConfig) -> Sampler {
    SamplerConfig::new(solver, edm(18)).build().unwrap()
}

fn watched(
    solver: &dyn Solver,
    denoiser: &dyn Denoiser,
    x: Tensor,
    levels: &Levels,
    watch: &mut Watch,
) -> Result<Tensor> {
    let way = Integration {
        solver,
        denoiser,
        condition: Condition::unconditional(),
        levels,
        before: Vec::new(),
    };
    way.run(x, watch)
}

fn run(solver: &dyn Solver, denoiser: &dyn Denoiser, x: Tensor, levels: &Levels) -> Result<Tensor> {
    watched(solver, denoiser, x, levels, &mut |_, _, _| Ok(()))
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

#[test]
fn the_orders_hold_on_the_exact_posterior_at_every_d() {
    for d in [1.0, 8.0, f64::INFINITY] {
        let (posterior, x) = exact_problem(d);
        let want = run(&rk45(1e-12), &posterior, x.clone(), &geometric(20)).unwrap();
        let error = |solver: &dyn Solver, num_steps| {
            let got = run(solver, &posterior, x.clone(), &geometric(num_steps)).unwrap();
            distance(&got, &want)
        };
        // Euler and Heun come to their order late; of third order more steps leave no more than rounding.
        let late = [SolverConfig::Euler, SolverConfig::Heun].map(|config| (config, 2048));
        let early = fixed_step_solvers().map(|config| (config, 512));
        for (config, num_steps) in late.into_iter().chain(early) {
            let solver = &*config.solver();
            let (few, many) = (error(solver, num_steps), error(solver, 2 * num_steps));
            let (got, wanted) = ((few / many).log2(), solver.order() as f64);
            println!("d {d}, {solver:?}: order {got:.3}");
            // Three estimates of UniPC show order 4 on the way down.
            let above = if matches!(config, SolverConfig::Unipc { order: 3, .. }) {
                1.15
            } else {
                0.15
            };
            assert!(
                got > wanted - 0.15 && got < wanted + above,
                "d {d}, {solver:?}: got order {got}, want {wanted}"
            );
        }
    }
}

/// The solvers of fixed steps but Euler and Heun.
fn fixed_step_solvers() -> [SolverConfig; 10] {
    let unipc = |order, variant| SolverConfig::Unipc { order, variant };
    [
        SolverConfig::Midpoint,
        SolverConfig::Alpha { alpha: 0.7 },
        SolverConfig::Dpmpp2m,
        SolverConfig::Dpmpp3m,
        unipc(1, UnipcVariant::Bh1),
        unipc(2, UnipcVariant::Bh2),
        unipc(3, UnipcVariant::Bh2),
        SolverConfig::Ipndm { order: 3 },
        SolverConfig::Deis { order: 2 },
        SolverConfig::Deis { order: 3 },
    ]
}

#[test]
fn rk45_reaches_its_tolerance() {
    let x = Tensor::new(&[[20.0f64], [-3.0]], &Device::Cpu).unwrap();
    let factor = ((1.0 + 0.01f64.powi(2)) / (1.0 + 20.0f64.powi(2))).sqrt();
    let normal = (
        Box::new(StandardNormal) as Box<dyn Denoiser>,
        x.clone(),
        (&x * factor).unwrap(),
    );
    let exact = [1.0, 8.0].map(|d| {
        let (posterior, x) = exact_problem(d);
        let want = run(&Heun, &posterior, x.clone(), &geometric(60_000)).unwrap();
        (Box::new(posterior) as Box<dyn Denoiser>, x, want)
    });
    for (index, (denoiser, x, want)) in [normal].into_iter().chain(exact).enumerate() {
        for tolerance in [1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8] {
            let got = run(&rk45(tolerance), &*denoiser, x.clone(), &geometric(20)).unwrap();
            let error = distance(&got, &want);
            println!("problem {index}, tolerance {tolerance:e}: error {error:.1e}");
            // Errors of single steps add up: some steps' worth is the tolerance of the whole.
            assert!(
                error < 20.0 * tolerance,
                "problem {index}: got error {error:e}, want about {tolerance:e}"
            );
        }
    }
}

#[test]
fn rk45_takes_more_steps_where_the_slope_bends() {
    let (posterior, x) = exact_problem(1.0);
    let mut sigmas = Vec::new();
    let mut watch = |samples: &[usize], sigma: &[f64], _: &Tensor| {
        let first = samples.iter().zip(sigma).filter(|(s, _)| **s == 0);
        sigmas.extend(first.map(|(_, v)| *v));
        Ok(())
    };
    let levels = Levels::new(vec![20.0, 1e-3]).unwrap();
    watched(&rk45(1e-9), &posterior, x, &levels, &mut watch).unwrap();
    let within = |low: f64, high: f64| sigmas.iter().filter(|s| (low..high).contains(*s)).count();
    // The points are about 0.5 apart: there the posterior changes, at 1e-2 it is settled.
    let (bent, straight) = (within(0.1, 1.0), within(1e-3, 1e-2));
    assert!(
        bent > 2 * straight,
        "got {bent} steps, and {straight} where it is straight"
    );
    assert!((sigmas[sigmas.len() - 1] / 1e-3 - 1.0).abs() < 1e-12);
}

/// A denoiser whose slope depends on sigma alone, and how often it was asked.
struct Curve(fn(f64) -> f64, AtomicUsize);

impl Denoiser for Curve {
    fn takes(&self) -> ConditionSpec {
        ConditionSpec::NONE
    }

    fn denoise(&self, &Query { x, sigma, .. }: &Query) -> Result<Tensor> {
        self.1.fetch_add(1, Ordering::Relaxed);
        let noise: Vec<f64> = sigma.iter().map(|s| s * (self.0)(*s)).collect();
        x - Tensor::from_vec(noise, (sigma.len(), 1), x.device())?
    }
}

/// The error of a curve that rk45 gives up, and its evaluations.
fn given_up(curve: fn(f64) -> f64) -> (String, usize) {
    let curve = Curve(curve, AtomicUsize::new(0));
    let x = Tensor::new(&[[1.0f64]], &Device::Cpu).unwrap();
    let got = run(&rk45(1e-10), &curve, x, &geometric(20)).unwrap_err();
    (got.to_string(), curve.1.load(Ordering::Relaxed))
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
fn every_d_and_solver_reaches_the_data_exactly() {
    for d in [0.5, 1.0, 8.0, 2048.0, f64::INFINITY] {
        for solver in EVERY {
            let kernel = Kernel::new(4, Dimension::new(d).unwrap()).unwrap();
            let x = sampler(solver).sample(
                &OnePoint,
                Condition::unconditional(),
                &kernel,
                &[1, 2, 2],
                &[0, 1, 2],
                &Device::Cpu,
            );
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

/// One data point for each of three classes, at 10 times the class in every coordinate.
struct PointOfClass;

impl Denoiser for PointOfClass {
    fn takes(&self) -> ConditionSpec {
        ConditionSpec::classes(3)
    }

    fn denoise(&self, query: &Query) -> Result<Tensor> {
        self.takes().check(query)?;
        let labels = query.condition.labels().expect("a class for each sample");
        let points = Tensor::new(&[[0.0f32], [10.0], [20.0]], &Device::Cpu)?;
        let points = labels.matmul(&points)?.to_dtype(query.x.dtype())?;
        query.x.zeros_like()?.broadcast_add(&points)
    }
}

/// rk45 too, where samples leave the batch one by one.
#[test]
fn every_solver_asks_for_the_class_of_each_sample() {
    let classes = [2, 0, 1, 1, 2, 0];
    let condition = Condition::of_classes(&classes, 3, &Device::Cpu).unwrap();
    let seeds: Vec<u64> = (0..6).collect();
    let kernel = Kernel::new(2, Dimension::new(1.0).unwrap()).unwrap();
    for solver in EVERY {
        let (model, device) = (&PointOfClass, &Device::Cpu);
        let x = sampler(solver).sample(model, &condition, &kernel, &[2], &seeds, device);
        let x = x.unwrap().to_vec2::<f32>().unwrap();
        for (class, got) in classes.iter().zip(x) {
            let want = 10.0 * *class as f32;
            assert!(
                got.iter().all(|got| (got - want).abs() < 1e-4),
                "{solver:?}, class {class}: got {got:?}, want {want}"
            );
        }
    }
}

#[test]
fn a_seed_gives_the_same_sample_in_any_batch() {
    let (posterior, _) = exact_problem(1.0);
    let kernel = Kernel::new(2, Dimension::new(1.0).unwrap()).unwrap();
    for solver in EVERY {
        let sample = |seeds: &[u64]| {
            let none = Condition::unconditional();
            let x = sampler(solver).sample(&posterior, none, &kernel, &[2], seeds, &Device::Cpu);
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
    let sampler = sampler(SolverConfig::Heun);
    let sampler = sampler.with_prior_radius([100.0, 200.0]).unwrap();
    let seeds: Vec<u64> = (0..200).collect();
    let none = Condition::unconditional();
    let paths = sampler
        .trace(&OnePoint, none, &kernel, &[4], &seeds, &Device::Cpu)
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
    for solver in EVERY {
        let (sampler, none) = (sampler(solver), Condition::unconditional());
        let paths = sampler
            .trace(&posterior, none, &kernel, &[2], &[1, 2], &Device::Cpu)
            .unwrap();
        let samples = sampler
            .sample(&posterior, none, &kernel, &[2], &[1, 2], &Device::Cpu)
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

/// The way back to data that fill the plane; [`exact_problem`]'s are points, from which all ways part.
#[test]
fn encoded_data_are_decoded_to_themselves() {
    let none = Condition::unconditional();
    let sampler = sampler(SolverConfig::Rk45 {
        rtol: 1e-8,
        atol: 1e-8,
    });
    let data = Tensor::new(&[[0.31f64], [-1.2]], &Device::Cpu).unwrap();
    let latent = sampler.encode(&StandardNormal, none, &data).unwrap();
    let growth = ((1.0 + 80.0f64.powi(2)) / (1.0 + 0.002f64.powi(2))).sqrt();
    let apart = distance(&latent, &(&data * growth).unwrap());
    assert!(apart < 1e-5, "got {latent}, want {growth} times {data}");
    let got = sampler.decode(&StandardNormal, none, &latent).unwrap();
    let apart = distance(&got.to_dtype(DType::F64).unwrap(), &data);
    // The step to 0 ends at E[y|x] = x / (1 + 0.002²).
    assert!(apart < 1e-5, "got {got}, want {data}");
}

#[test]
fn whoever_watches_can_end_the_way() {
    let (posterior, x) = exact_problem(8.0);
    for solver in EVERY {
        let mut seen = 0;
        let mut watch = |_: &[usize], _: &[f64], _: &Tensor| {
            seen += 1;
            if seen == 3 {
                candle_core::bail!("asked to stop")
            }
            Ok(())
        };
        let solver = solver.solver();
        let got = watched(&*solver, &posterior, x.clone(), &geometric(20), &mut watch);
        let got = got.unwrap_err().to_string();
        assert!(got.contains("asked to stop"), "{solver:?}: got {got}");
        assert_eq!(seen, 3, "{solver:?}: goes on after it was stopped");
    }
}

#[test]
fn samplers_that_cannot_be_are_refused_where_they_are_made() {
    let rising = geometric(5).reversed();
    let got = Sampler::new(Euler, rising).unwrap_err().to_string();
    assert!(got.starts_with("levels must be falling"), "got {got}");
    let got = Sampler::new(rk45(2.0), geometric(5)).unwrap_err();
    assert_eq!(
        got.to_string(),
        "rtol must be from 0.000000000001 to 1, got 2"
    );
    let none = SamplerConfig::new(SolverConfig::Heun, edm(0));
    let got = none.build().unwrap_err().to_string();
    assert_eq!(
        got,
        "schedule.edm.num_steps must be from 2 to 1000000, got 0"
    );
    let churn = ChurnConfig {
        s_churn: 1.0,
        s_min: 0.0,
        s_max: 1.0,
        s_noise: 1.0,
        kind: ChurnKind::Gaussian,
    };
    let (posterior, x) = exact_problem(8.0);
    let kernel = Kernel::new(2, Dimension::new(8.0).unwrap()).unwrap();
    let upwards = Integration {
        solver: &Euler,
        denoiser: &posterior,
        condition: Condition::unconditional(),
        levels: &geometric(5).reversed(),
        before: vec![Box::new(pfgmpp_sampler::Churn::new(
            &churn,
            &kernel,
            &[1, 2, 3, 4],
            5,
        ))],
    };
    let got = upwards.run(x, &mut |_, _, _| Ok(())).unwrap_err();
    assert!(
        got.to_string().contains("down the noise levels only"),
        "got {got}"
    );
}
