//! A solver of one's own, Ralston's method, on the exact posterior of a few points at D = 4.

use candle_core::{Device, Result, Tensor};
use pfgmpp::{
    Condition, Dimension, ExactPosterior, Heun, Kernel, Levels, Path, Sampler, Solver, Step,
};

/// Second order: the slope at the start with weight 1/4, that two thirds of the way along with weight 3/4.
#[derive(Clone, Copy, Debug)]
pub struct Ralston;

impl Solver for Ralston {
    fn order(&self) -> usize {
        2
    }

    fn evaluations(&self, levels: &Levels) -> Option<usize> {
        Some(2 * levels.steps_above_zero() + usize::from(levels.ends_at_zero()))
    }

    fn step(&self, step: &Step, path: &mut Path) -> Result<Tensor> {
        let span = step.sigma_next - step.sigma;
        let first = path.evaluate(&step.x, step.sigma)?.slope;
        let x = (&step.x + (&first * (span * 2.0 / 3.0))?)?;
        let second = path.evaluate(&x, step.sigma + span * 2.0 / 3.0)?.slope;
        step.along(&((first * 0.25)? + (second * 0.75)?)?)
    }
}

/// Samples of four seeds, `[4, 2]`, by a solver.
pub fn sample(solver: impl Solver + 'static) -> anyhow::Result<Tensor> {
    let (device, d) = (Device::Cpu, Dimension::new(4.0)?);
    let points = Tensor::new(&[[-1.0f64, 0.0], [1.0, 0.5], [0.2, -1.0]], &device)?;
    let (model, kernel) = (ExactPosterior::new(&points, d)?, Kernel::new(2, d)?);
    let fall = (0..60).map(|i| 40.0 * 0.85f64.powi(i)).chain([0.0]);
    let sampler = Sampler::new(solver, Levels::new(fall.collect())?)?;
    let none = Condition::unconditional();
    Ok(sampler.sample(&model, none, &kernel, &[2], &[0, 1, 2, 3], &device)?)
}

#[allow(dead_code, reason = "the tests call what it calls")]
fn main() -> anyhow::Result<()> {
    println!("Ralston {}\nHeun {}", sample(Ralston)?, sample(Heun)?);
    Ok(())
}
