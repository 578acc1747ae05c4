//! Samples a checkpoint: `cargo run --release --example sample_checkpoint -- FOLDER_OR_FILE [D]`.
//!
//! Any checkpoint on this machine that `pfgmpp sample` takes will do, of this program or another (for `hf://` the feature `hub` has
//! `checkpoint::resolve`); a diffusion model samples at any D. Guidance and classes that a checkpoint names are not applied here: the
//! classes take turns. Columns of a table stay standardised: `config.data.columns` says by what.

use std::path::Path;

use anyhow::Context;
use candle_core::{Device, Tensor};
use pfgmpp::{Condition, Denoiser, Dimension, EffectiveNoise, Guess, Kernel, Model};

/// Sixteen samples, `[16, C, H, W]`, at the D of the model or another.
pub fn sample(checkpoint: &Path, d: Option<Dimension>) -> anyhow::Result<Tensor> {
    let device = Device::Cpu;
    let model = Model::load(checkpoint, &device)?;
    let (shape, own) = (model.config.data.shape, model.config.d);
    let kernel = Kernel::new(shape.iter().product(), d.unwrap_or(own))?;
    let denoiser: Box<dyn Denoiser> = if kernel.d() == own {
        model.denoiser
    } else {
        // A denoiser does not say of which D it is.
        anyhow::ensure!(
            own.is_infinite(),
            "only a model of D = inf samples at another D"
        );
        let (guess, moments) = (Guess::Previous, model.moments);
        Box::new(EffectiveNoise::new(
            model.denoiser,
            &kernel,
            guess,
            moments,
        )?)
    };
    let seeds: Vec<u64> = (0..16).collect();
    let condition = match model.config.data.label_dim {
        0 => Condition::none(),
        classes => {
            let asked: Vec<usize> = (0..16).map(|i| i % classes).collect();
            Condition::of_classes(&asked, classes, &device)?
        }
    };
    let sampler = model.config.sampler.build()?;
    Ok(sampler.sample(&*denoiser, &condition, &kernel, &shape, &seeds, &device)?)
}

#[allow(dead_code, reason = "the tests call what it calls")]
fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let checkpoint = arguments.next().context("give a checkpoint")?;
    let d = arguments.next().map(|d| d.parse()).transpose()?;
    let samples = sample(Path::new(&checkpoint), d)?;
    println!(
        "{:?}, mean {:.4}",
        samples.dims(),
        samples.mean_all()?.to_scalar::<f32>()?
    );
    Ok(())
}
