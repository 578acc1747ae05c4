//! Trains a network of one's own, of candle-nn's layers, on a tensor of points at D = 1 and D = ∞.

use candle_core::{Device, Result, Tensor};
use candle_nn::{Linear, Module, VarBuilder, linear};
use pfgmpp::*;

struct Net([Linear; 3]);

impl Net {
    fn new(vb: &VarBuilder) -> Result<Self> {
        let [a, b] = [linear(3, 64, vb.pp("a"))?, linear(64, 64, vb.pp("b"))?];
        Ok(Self([a, b, linear(64, 2, vb.pp("c"))?]))
    }
}

impl Network for Net {
    fn takes(&self) -> ConditionSpec {
        ConditionSpec::NONE
    }

    fn forward(&self, x: &Tensor, c_noise: &Tensor, _: &Context) -> Result<Tensor> {
        let input = Tensor::cat(&[x.flatten_from(1)?, c_noise.unsqueeze(1)?], 1)?;
        let [a, b, c] = &self.0;
        let hidden = b.forward(&a.forward(&input)?.silu()?)?.silu()?;
        c.forward(&hidden)?.reshape(x.shape())
    }
}

/// 512 samples at `d` after `steps` steps on all of `points`, `[count, 1, 1, 2]`.
pub fn train(points: &Tensor, d: Dimension, steps: u64) -> anyhow::Result<Tensor> {
    let (kernel, count) = (Kernel::new(2, d)?, points.dims()[0]);
    let parameters = Parameters::new(0, &Device::Cpu);
    let net = Box::new(Net::new(&parameters.builder())?);
    // sigma_data is 0.7; ln sigma of the training noise has mean -0.8 and standard deviation 1.4.
    let model = Preconditioned::edm(net, 0.7, &kernel, DataScale::measure(points)?)?;
    let objective = UnbiasedObjective::new(kernel.clone(), NoiseLaw::log_normal(-0.8, 1.4)?)?;
    let mut adam = Adam::new(AdamConfig::with_lr(3e-3), &parameters)?;
    for step in 0..steps {
        let first = step * count as u64;
        let mut rngs = SampleRng::batch(0, Stream::Training, first, count);
        let loss = objective.loss(&InTraining::new(&model), points, &mut rngs)?;
        adam.step(&parameters, &loss.mean.backward()?, 3e-3)?;
    }
    let sampler = Sampler::new(Heun, Levels::edm(18, 0.01, 40.0, 7.0)?)?;
    let (none, seeds): (_, Vec<u64>) = (Condition::unconditional(), (0..512).collect());
    Ok(sampler.sample(&model, none, &kernel, &[1, 1, 2], &seeds, &Device::Cpu)?)
}

#[allow(dead_code, reason = "the tests call what it calls")]
fn main() -> anyhow::Result<()> {
    let angles = (0..512).map(|i| i as f32 * 0.61803);
    let ring: Vec<f32> = angles.flat_map(|a| [a.cos(), a.sin()]).collect();
    let points = Tensor::from_vec(ring, (512, 1, 1, 2), &Device::Cpu)?;
    for d in [Dimension::Finite(1.0), Dimension::Infinite] {
        let distance = energy_distance(&train(&points, d, 500)?, &points)?;
        println!("D = {d}: energy distance to the data {distance:.4}");
    }
    Ok(())
}
