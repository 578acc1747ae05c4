//! Samples the exact posterior of points: no network, no training, at any D. One seed is one sample, whatever D is.

use candle_core::{Device, Tensor};
use pfgmpp::{Condition, Dimension, ExactPosterior, Heun, Kernel, Levels, Sampler};

/// Samples of the seeds 0 to 7 of five points in the plane, `[8, 2]`, at `d`.
pub fn sample(d: Dimension) -> anyhow::Result<Tensor> {
    let device = Device::Cpu;
    let points = [
        [0.0f64, 1.0],
        [0.9, 0.3],
        [0.6, -0.8],
        [-0.6, -0.8],
        [-0.9, 0.3],
    ];
    let model = ExactPosterior::new(&Tensor::new(&points, &device)?, d)?;
    let sampler = Sampler::new(Heun, Levels::edm(40, 0.002, 80.0, 7.0)?)?;
    let (kernel, seeds) = (Kernel::new(2, d)?, [0, 1, 2, 3, 4, 5, 6, 7]);
    let none = Condition::unconditional();
    Ok(sampler.sample(&model, none, &kernel, &[2], &seeds, &device)?)
}

#[allow(dead_code, reason = "the tests call what it calls")]
fn main() -> anyhow::Result<()> {
    for d in [0.5, 1.0, 2.0, 128.0, f64::INFINITY] {
        let d = Dimension::new(d)?;
        println!("D = {d}\n{}", sample(d)?);
    }
    Ok(())
}
