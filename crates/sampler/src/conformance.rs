//! What every solver has to keep, by what it declares: the tests of each solver's file.

use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{DType, Device, Result, Tensor};
use pfgmpp_kernel::{
    Condition, ConditionSpec, Denoiser, Dimension, ExactPosterior, Query, SampleRng, Stream,
    standard_normal,
};
use pfgmpp_transfer::{EdmSchedule, GeometricSchedule, Levels, Schedule};

use crate::{Integration, Rk45, Solver};

/// `E[y | x]` at D = ∞ of data from two Gaussians of deviation 1/2 around -1 and 3/2, with weights 1 and 2: smooth at
/// every level, and without the symmetry by which some methods are better on a single Gaussian than they are.
struct TwoGaussians;

impl Denoiser for TwoGaussians {
    fn takes(&self) -> ConditionSpec {
        ConditionSpec::NONE
    }

    fn denoise(&self, &Query { x, sigma, .. }: &Query) -> Result<Tensor> {
        let estimate = |(x, sigma): (f64, &f64)| {
            let (data, noise) = (0.25, sigma * sigma);
            let parts = [(1.0f64, -1.0), (2.0, 1.5)].map(|(weight, mean)| {
                let ln = weight.ln() - (x - mean) * (x - mean) / (2.0 * (data + noise));
                (ln, (data * x + noise * mean) / (data + noise))
            });
            let odds = (parts[1].0 - parts[0].0).exp();
            (parts[0].1 + odds * parts[1].1) / (1.0 + odds)
        };
        let x_values = x.flatten_all()?.to_vec1::<f64>()?;
        let estimates: Vec<f64> = x_values.into_iter().zip(sigma).map(estimate).collect();
        Tensor::from_vec(estimates, x.shape(), x.device())
    }
}

/// A denoiser that counts how often it is asked.
struct Counted<M>(M, AtomicUsize);

impl<M: Denoiser> Denoiser for Counted<M> {
    fn takes(&self) -> ConditionSpec {
        self.0.takes()
    }

    fn denoise(&self, query: &Query) -> Result<Tensor> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.denoise(query)
    }
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

fn edm(num_steps: usize) -> Levels {
    let edm = EdmSchedule {
        num_steps,
        sigma_min: 0.002,
        sigma_max: 80.0,
        rho: 7.0,
    };
    Schedule::Edm(edm).levels().unwrap()
}

fn run(solver: &dyn Solver, denoiser: &dyn Denoiser, levels: &Levels, x: &Tensor) -> Tensor {
    let way = Integration {
        solver,
        denoiser,
        condition: Condition::unconditional(),
        levels,
        before: Vec::new(),
    };
    way.run(x.clone(), &mut |_, _, _| Ok(())).unwrap()
}

fn distance(a: &Tensor, b: &Tensor) -> f64 {
    let square = (a - b).unwrap().sqr().unwrap().mean_all().unwrap();
    square.to_scalar::<f64>().unwrap().sqrt()
}

/// Asserts that `solver` keeps what it declares and what every solver must: its order both ways, its number of
/// evaluations, samples that do not depend on their batch, and the data reached exactly.
pub(crate) fn holds(solver: &dyn Solver) {
    solver.check().unwrap();
    if !solver.adapts() {
        order_holds(solver);
    }
    evaluations_hold(solver);
    batches_do_not_matter(solver);
    the_way_back_leads_home(solver);
}

fn order_holds(solver: &dyn Solver) {
    let levels = |num_steps| {
        let edm = EdmSchedule {
            num_steps,
            sigma_min: 0.1,
            sigma_max: 10.0,
            rho: 3.0,
        };
        let levels = Schedule::Edm(edm).levels().unwrap();
        Levels::new(levels.as_slice()[..num_steps].to_vec()).unwrap()
    };
    let (rtol, atol) = (1e-12, 1e-12);
    let exact = Rk45 { rtol, atol };
    let high = Tensor::new(&[[9.0f64], [-3.0], [4.0]], &Device::Cpu).unwrap();
    let low = run(&exact, &TwoGaussians, &levels(20), &high);
    let want = solver.order() as f64;
    let orders = [true, false].map(|falls| {
        let error = |num_steps: usize| {
            let levels = levels(num_steps);
            let (levels, from, to) = if falls {
                (levels, &high, &low)
            } else {
                (levels.reversed(), &low, &high)
            };
            distance(&run(solver, &TwoGaussians, &levels, from), to)
        };
        let (coarse, fine) = (error(201), error(401));
        let got = (coarse / fine).log2();
        println!("{solver:?}, falling {falls}: order {got:.3}, errors {coarse:.1e} and {fine:.1e}");
        got
    });
    // What is declared holds both ways: one of them may be better.
    let got = orders[0].min(orders[1]);
    assert!(
        (got - want).abs() < 0.15,
        "{solver:?}: got order {got}, want {want}"
    );
}

/// Eight points in the plane and states at sigma = 20.
fn exact_problem(d: f64) -> (ExactPosterior, Tensor) {
    let points: Vec<f64> = (0..16).map(|i| f64::from(i * 7 % 11) / 5.0 - 1.0).collect();
    let points = Tensor::from_vec(points, (8, 2), &Device::Cpu).unwrap();
    let posterior = ExactPosterior::new(&points, Dimension::new(d).unwrap()).unwrap();
    let mut rngs = SampleRng::batch(3, Stream::Other(0), 0, 4);
    let x = standard_normal(&[2], &mut rngs, DType::F64, &Device::Cpu).unwrap();
    (posterior, (x * 20.0).unwrap())
}

fn evaluations_hold(solver: &dyn Solver) {
    let (posterior, x) = exact_problem(8.0);
    for levels in [edm(7), geometric(7), geometric(7).reversed()] {
        let counted = Counted(posterior.clone(), AtomicUsize::new(0));
        run(solver, &counted, &levels, &x);
        let got = counted.1.load(Ordering::Relaxed);
        match solver.evaluations(&levels) {
            Some(want) => assert_eq!(got, want, "{solver:?}: evaluations"),
            None => assert!(got > 7, "{solver:?}: got {got} evaluations"),
        }
    }
}

fn batches_do_not_matter(solver: &dyn Solver) {
    let (posterior, x) = exact_problem(1.0);
    let together = run(solver, &posterior, &edm(12), &x);
    for row in 0..4 {
        let alone = run(solver, &posterior, &edm(12), &x.narrow(0, row, 1).unwrap());
        let apart = distance(&alone, &together.narrow(0, row, 1).unwrap());
        assert_eq!(apart, 0.0, "{solver:?}: sample {row} depends on its batch");
    }
}

/// Up and down again in many steps: the errors of both ways, which fall with the order, are what is left.
fn the_way_back_leads_home(solver: &dyn Solver) {
    for d in [0.5, 8.0, f64::INFINITY] {
        let (posterior, x) = exact_problem(d);
        let levels = geometric(800);
        let down = run(solver, &posterior, &levels, &x);
        let up = run(solver, &posterior, &levels.reversed(), &down);
        let again = run(solver, &posterior, &levels, &up);
        let got = distance(&down, &again);
        println!("{solver:?}, d {d}: {got:.1e} from home");
        assert!(got < 1e-2, "{solver:?}, d {d}: got {got} from home");
    }
}
