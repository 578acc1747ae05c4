//! What an evaluation buys: the share of samples that end at another data point than the exact path does.
//!
//! `cargo run --release -p pfgmpp-sampler --example cost` prints the table of `docs/samplers.md`: 64 data points in 8
//! dimensions, 4,000 samples, sigma from 80 to 0.002, the exact posterior at D = 1, 8 and infinity.

use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{DType, Device, Result, Tensor};
use pfgmpp_kernel::{
    Condition, ConditionSpec, Denoiser, Dimension, ExactPosterior, Kernel, Query, SampleRng,
    Stream, standard_normal,
};
use pfgmpp_sampler::{SamplerConfig, SolverConfig, UnipcVariant};
use pfgmpp_transfer::{EdmSchedule, GeometricSchedule, Schedule};

const N: usize = 8;
const POINTS: usize = 64;
const SAMPLES: u64 = 4000;

/// A denoiser that counts the samples it is asked for.
struct Counted(ExactPosterior, AtomicUsize);

impl Denoiser for Counted {
    fn takes(&self) -> ConditionSpec {
        ConditionSpec::NONE
    }

    fn denoise(&self, query: &Query) -> Result<Tensor> {
        self.1.fetch_add(query.sigma.len(), Ordering::Relaxed);
        self.0.denoise(query)
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

fn geometric(num_steps: usize) -> Schedule {
    Schedule::Geometric(GeometricSchedule {
        num_steps,
        sigma_min: 0.002,
        sigma_max: 80.0,
    })
}

fn unipc(order: usize) -> SolverConfig {
    let variant = UnipcVariant::Bh2;
    SolverConfig::Unipc { order, variant }
}

fn rk45(tolerance: f64) -> SolverConfig {
    SolverConfig::Rk45 {
        rtol: tolerance,
        atol: tolerance,
    }
}

/// The data point that each sample ends nearest to, and the evaluations a sample.
fn ends(
    data: &Tensor,
    d: Dimension,
    solver: SolverConfig,
    schedule: Schedule,
) -> Result<(Vec<u32>, f64)> {
    let exact = ExactPosterior::new(data, d).map_err(candle_core::Error::from)?;
    let denoiser = Counted(exact, AtomicUsize::new(0));
    let kernel = Kernel::new(N, d).map_err(candle_core::Error::from)?;
    let seeds: Vec<u64> = (0..SAMPLES).collect();
    let sampler = SamplerConfig::new(solver, schedule).build();
    let sampler = sampler.map_err(candle_core::Error::wrap)?;
    let none = Condition::unconditional();
    let x = sampler.sample(&denoiser, none, &kernel, &[N], &seeds, &Device::Cpu)?;
    let x = x.to_dtype(DType::F64)?.unsqueeze(1)?;
    let distances = x.broadcast_sub(&data.unsqueeze(0)?)?.sqr()?.sum(2)?;
    let evaluations = denoiser.1.load(Ordering::Relaxed) as f64 / SAMPLES as f64;
    Ok((distances.argmin(1)?.to_vec1()?, evaluations))
}

fn main() -> Result<()> {
    let mut rngs = SampleRng::batch(0, Stream::Other(0), 0, POINTS);
    let data = standard_normal(&[N], &mut rngs, DType::F64, &Device::Cpu)?;
    let methods = [
        ("euler, edm, 35", SolverConfig::Euler, edm(35)),
        ("dpmpp2m, edm, 18", SolverConfig::Dpmpp2m, edm(18)),
        ("heun, edm, 9", SolverConfig::Heun, edm(9)),
        ("unipc 2 bh2, edm, 18", unipc(2), edm(18)),
        ("unipc 3 bh2, edm, 18", unipc(3), edm(18)),
        ("dpmpp2m, edm, 35", SolverConfig::Dpmpp2m, edm(35)),
        ("dpmpp3m, edm, 18", SolverConfig::Dpmpp3m, edm(18)),
        ("dpmpp3m, edm, 34", SolverConfig::Dpmpp3m, edm(34)),
        ("unipc 2 bh2, edm, 35", unipc(2), edm(35)),
        ("unipc 3 bh2, edm, 35", unipc(3), edm(35)),
        (
            "ipndm 3, edm, 35",
            SolverConfig::Ipndm { order: 3 },
            edm(35),
        ),
        ("deis 3, edm, 34", SolverConfig::Deis { order: 3 }, edm(34)),
        ("midpoint, edm, 18", SolverConfig::Midpoint, edm(18)),
        ("heun, edm, 18", SolverConfig::Heun, edm(18)),
        ("heun, geometric, 18", SolverConfig::Heun, geometric(18)),
        ("heun, edm, 35", SolverConfig::Heun, edm(35)),
        ("heun, geometric, 35", SolverConfig::Heun, geometric(35)),
        ("rk45, 1e-2", rk45(1e-2), edm(18)),
        ("rk45, 1e-3", rk45(1e-3), edm(18)),
        ("rk45, 1e-4", rk45(1e-4), edm(18)),
    ];
    for d in [1.0, 8.0, f64::INFINITY] {
        let d = Dimension::new(d).map_err(candle_core::Error::wrap)?;
        let (want, _) = ends(&data, d, rk45(1e-10), edm(18))?;
        println!("D = {d}");
        for (name, solver, schedule) in &methods {
            let (got, evaluations) = ends(&data, d, *solver, schedule.clone())?;
            let other = got.iter().zip(&want).filter(|(a, b)| a != b).count();
            let share = 100.0 * other as f64 / SAMPLES as f64;
            println!("  {name:20} {evaluations:6.1} evaluations {share:5.1} %");
        }
    }
    Ok(())
}
