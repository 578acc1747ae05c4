//! Inpainting digits with the exact posterior for the model: how near each method comes to the truth at each D.
//!
//! `cargo run --release -p pfgmpp-sampler --example inpainting` prints the tables of `docs/restoration.md`: 32 of 64 pixels
//! of held-out digits are seen with noise, and the truth is the set of training digits reweighted by the seen pixels.

use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor};
use pfgmpp_data::DataSource;
use pfgmpp_kernel::{
    Condition, Denoiser, Dimension, ExactPosterior, Kernel, Query, SampleRng, Stream,
};
use pfgmpp_sampler::{
    ConjugateGradients, Covariance, Dps, ExactConditional, Mask, Mmps, Observation, Sampler,
    SamplerConfig, SolverConfig,
};
use pfgmpp_transfer::{EdmSchedule, Schedule};

const DIMENSIONS: [Dimension; 4] = [
    Dimension::Finite(1.0),
    Dimension::Finite(8.0),
    Dimension::Finite(64.0),
    Dimension::Infinite,
];
const SHAPE: [usize; 3] = [1, 8, 8];
/// Held-out digits, and samples of each.
const IMAGES: usize = 32;
const SAMPLES: usize = 8;
/// The noise of what is seen.
const SIGMA_O: f64 = 0.2;
const LEVELS: [f64; 6] = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0];
const ITERATIONS: ConjugateGradients = ConjugateGradients {
    max_iterations: 32,
    tolerance: 1e-3,
};

/// The step size of DPS.
const ZETA: f64 = 10.0;

type Failure = Box<dyn std::error::Error>;

/// The digits, what is seen of the held-out ones, and what is known of them by it.
struct Problem {
    data: Tensor,
    observation: Observation,
    images: Tensor,
    condition: Condition,
}

/// A name, and the denoiser that is told of the observation.
type Method = (&'static str, Box<dyn Denoiser>);

impl Problem {
    fn new(sigma_o: f64) -> std::result::Result<Self, Failure> {
        let splits = DataSource::Digits.load()?;
        let of = |images: &Tensor| images.to_dtype(DType::F64);
        let images = of(&splits.held_out.images()?)?.narrow(0, 0, IMAGES)?;
        // The upper half is seen.
        let seen: Vec<bool> = (0..64).map(|i| i < 32).collect();
        let observation = Observation::new(Arc::new(Mask::new(&seen, SHAPE)?), sigma_o)?;
        let mut rngs = SampleRng::batch(0, Stream::Observation, 0, IMAGES);
        let observed = observation.observe(&images, &mut rngs)?;
        Ok(Self {
            data: of(&splits.train.images()?)?,
            observation,
            images,
            condition: Condition::none().with_observed(observed)?,
        })
    }

    fn methods(&self, d: Dimension) -> std::result::Result<Vec<Method>, Failure> {
        let exact = ExactPosterior::new(&self.data, d)?;
        let of = || self.observation.clone();
        let mmps = |covariance| Mmps::new(exact.clone(), d, of(), covariance, ITERATIONS);
        let few = ConjugateGradients {
            max_iterations: 3,
            ..ITERATIONS
        };
        let few = Mmps::new(exact.clone(), d, of(), Covariance::Effective, few)?;
        let dps = Dps::new(exact.clone(), d, of(), Covariance::Effective, ZETA)?;
        Ok(vec![
            ("sigma_eff² K", Box::new(mmps(Covariance::Effective)?)),
            ("sigma_eff² J", Box::new(mmps(Covariance::Scaled)?)),
            ("sigma² J", Box::new(mmps(Covariance::Nominal)?)),
            ("K, 3 products", Box::new(few)),
            ("DPS", Box::new(dps)),
            ("unconditional", Box::new(Unaware(exact))),
        ])
    }

    fn truth(&self, d: Dimension) -> Result<ExactConditional> {
        ExactConditional::new(&self.data, d, self.observation.clone())
    }
}

/// A model that is not told what was observed.
struct Unaware(ExactPosterior);

impl Denoiser for Unaware {
    fn denoise(&self, query: &Query) -> Result<Tensor> {
        self.0
            .denoise(&query.under(&query.condition.without_observed()))
    }
}

/// Root of the mean square over images and pixels.
fn error(got: &Tensor, want: &Tensor) -> Result<f64> {
    let got = got.to_dtype(DType::F64)?;
    Ok((got - want)?.sqr()?.mean_all()?.to_scalar::<f64>()?.sqrt())
}

/// Errors of `E[y | x, y_o]`, x drawn around the images themselves.
fn estimates(problem: &Problem) -> std::result::Result<(), Failure> {
    print!("{:>5} {:>14}", "D", "method");
    for sigma in LEVELS {
        print!(" {sigma:>8}");
    }
    println!();
    for d in DIMENSIONS {
        let (kernel, truth) = (Kernel::new(64, d)?, problem.truth(d)?);
        for (name, method) in problem.methods(d)? {
            print!("{d:>5} {name:>14}");
            for level in LEVELS {
                let sigma = vec![level; IMAGES];
                let mut rngs = SampleRng::batch(1, Stream::Training, 0, IMAGES);
                let x = kernel.perturb(&problem.images, &sigma, &mut rngs)?;
                let query = Query::new(&x, &sigma).under(&problem.condition);
                let error = error(&method.denoise(&query)?, &truth.denoise(&query)?)?;
                print!(" {error:>8.4}");
            }
            println!();
        }
    }
    Ok(())
}

/// The mean over the samples of each image, and the root of the mean square of their scatter about it.
fn restored(
    sampler: &Sampler,
    problem: &Problem,
    method: &dyn Denoiser,
    d: Dimension,
) -> std::result::Result<(Tensor, f64), Failure> {
    let kernel = Kernel::new(64, d)?;
    let condition = problem.condition.repeat(SAMPLES)?;
    let seeds: Vec<u64> = (0..(IMAGES * SAMPLES) as u64).collect();
    let samples = sampler.sample(method, &condition, &kernel, &SHAPE, &seeds, &Device::Cpu)?;
    let samples = samples
        .to_dtype(DType::F64)?
        .reshape(vec![SAMPLES, IMAGES, 1, 8, 8])?;
    let mean = samples.mean(0)?;
    let scatter = samples.broadcast_sub(&mean)?.sqr()?.mean_all()?;
    let scatter = scatter.to_scalar::<f64>()? * SAMPLES as f64 / (SAMPLES - 1) as f64;
    Ok((mean, scatter.sqrt()))
}

/// Errors of the means of restored samples.
fn samples(problem: &Problem) -> std::result::Result<(), Failure> {
    let schedule = Schedule::Edm(EdmSchedule {
        num_steps: 18,
        sigma_min: 0.002,
        sigma_max: 80.0,
        rho: 7.0,
    });
    let sampler = SamplerConfig::new(SolverConfig::Heun, schedule).build()?;
    println!(
        "{:>5} {:>14} {:>8} {:>8} {:>8}",
        "D", "method", "error", "scatter", "misfit"
    );
    for d in DIMENSIONS {
        let truth = problem.truth(d)?;
        let observed = problem.condition.observed().expect("it was given");
        let want = truth.mean_given(observed)?;
        let mut methods = problem.methods(d)?;
        methods.insert(0, ("exact", Box::new(truth)));
        for (name, method) in methods {
            let (mean, scatter) = restored(&sampler, problem, &*method, d)?;
            let seen = problem.observation.operator().apply(&mean)?;
            println!(
                "{d:>5} {name:>14} {:>8.4} {scatter:>8.4} {:>8.4}",
                error(&mean, &want)?,
                error(&seen, observed)?
            );
        }
    }
    Ok(())
}

fn main() -> std::result::Result<(), Failure> {
    println!("error of E[y | x, y_o] at each sigma");
    let problem = Problem::new(SIGMA_O)?;
    estimates(&problem)?;
    println!("means of restored samples against E[y | y_o]");
    samples(&problem)
}
