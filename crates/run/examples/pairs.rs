//! How good a network of pairs is: PSNR of the mean of its samples beside the exact posterior mean, and how often the
//! range of 19 samples of a pixel holds the truth, which is 90 % for samples of the posterior.
//!
//! ```text
//! pfgmpp train configs/denoise_digits.yaml
//! cargo run --release -p pfgmpp-run --example pairs -- runs/denoise_digits
//! ```

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use pfgmpp_checkpoint::Model;
use pfgmpp_config::{Document, RunConfig};
use pfgmpp_kernel::{Denoiser, Dimension, ExactPosterior, Query, SampleRng, Stream};
use pfgmpp_run::{Draw, SamplingModel, StopFlag};
use pfgmpp_sampler::Corruption;
use pfgmpp_train::Shown;

/// With so many samples their range holds a further one of the same law in 18 of 20 cases.
const SAMPLES: u64 = 19;
/// The mean is taken of so many.
const OF_THE_MEAN: usize = 16;

/// The deviation over the training data from which on a pixel is told apart.
const LIVELY: f64 = 0.5;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let run = std::env::args().nth(1).ok_or("give a run folder")?;
    let run = Path::new(&run);
    let device = Device::Cpu;
    let (_, config) = Document::read::<RunConfig>(&run.join("config.yaml"))?;
    let splits = config.data.load()?;
    let model = Model::load(&run.join("checkpoint"), &device)?;
    let corruption = model
        .config
        .data
        .corruption
        .ok_or("no run of corrupted images")?;
    let data = &splits.held_out;
    let model = SamplingModel::of_checkpoint(model, &config.sampler)?;
    let model = model.with_pairs(Some(Shown::Corrupted(corruption)), data, 0);
    let num = data.num_images() as u64;
    let seeds: Vec<u64> = (0..SAMPLES * num).collect();
    let draw = Draw {
        model: &model,
        seeds: &seeds,
        batch_size: 256,
        device: &device,
    };
    let samples = draw.collect(&StopFlag::default(), |_| {})?;
    let samples = samples.ok_or("stopped")?.to_dtype(DType::F64)?;
    let [channels, height, width] = data.image_shape();
    // The image of a seed is its remainder.
    let samples = samples.reshape((SAMPLES as usize, num as usize, channels, height, width))?;
    let truth = data.images()?.to_dtype(DType::F64)?;
    let mean = samples.narrow(0, 0, OF_THE_MEAN)?.mean(0)?;
    println!("D = {}, {num} held-out images", model.d());
    println!(
        "PSNR of a sample        {:.2} dB",
        psnr(&samples.get(0)?, &truth)?
    );
    println!(
        "PSNR of the mean of {OF_THE_MEAN}  {:.2} dB",
        psnr(&mean, &truth)?
    );
    if let Corruption::Noise(sigma) = corruption {
        let rng = |i| SampleRng::new(0, Stream::Observation, i);
        let mut rngs: Vec<SampleRng> = (0..num).map(rng).collect();
        let shown = corruption.observe(&truth, &mut rngs)?;
        let exact = ExactPosterior::new(&splits.train.images()?, Dimension::Infinite)?;
        let levels = vec![sigma; num as usize];
        let exact = exact.denoise(&Query::new(&shown, &levels))?;
        println!("PSNR of the exact mean  {:.2} dB", psnr(&exact, &truth)?);
        println!("PSNR of what is shown   {:.2} dB", psnr(&shown, &truth)?);
    }
    let above = truth.ge(&samples.min(0)?)?.to_dtype(DType::F64)?;
    let below = truth.le(&samples.max(0)?)?.to_dtype(DType::F64)?;
    let held = (above * below)?;
    // Pixels that are black in nearly every image lie between samples that scatter about them.
    let train = splits.train.images()?.to_dtype(DType::F64)?;
    let lively = train.var(0)?.gt(LIVELY * LIVELY)?.to_dtype(DType::F64)?;
    let pixels = lively.sum_all()?.to_scalar::<f64>()? * num as f64;
    let of_lively = held.broadcast_mul(&lively)?.sum_all()?;
    let of_lively = of_lively.to_scalar::<f64>()? / pixels;
    let of_all = held.mean_all()?.to_scalar::<f64>()?;
    println!(
        "range of {SAMPLES} holds the truth of {:.1} % of all pixels, {:.1} % of those that vary by more than {LIVELY} \
         (samples of the posterior: 90 %)",
        100.0 * of_all,
        100.0 * of_lively
    );
    Ok(())
}

/// Of pixels from -1 to 1, over all images together.
fn psnr(estimate: &Tensor, truth: &Tensor) -> Result<f64, Failure> {
    let error = (estimate.to_dtype(DType::F64)? - truth)?
        .sqr()?
        .mean_all()?;
    Ok(10.0 * (4.0 / error.to_scalar::<f64>()?).log10())
}
