//! Denoising in one step from the noisy image, by a generative model, beside more steps and weights.
//!
//! A network that is trained at one level alone, with D = ∞, is plain regression of images from noisy ones: the yardstick.
//!
//! ```text
//! pfgmpp train configs/digits.yaml --out runs/inf --set d=inf
//! pfgmpp train configs/digits.yaml --out runs/regression --set d=inf --set objective.unbiased.noise_law.log_normal.p_mean=-0.6931 \
//!   --set objective.unbiased.noise_law.log_normal.p_std=0.001
//! cargo run --release -p pfgmpp-run --example start -- 0.5 runs/regression runs/inf
//! ```

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use pfgmpp_checkpoint::Model;
use pfgmpp_config::{Document, RunConfig};
use pfgmpp_kernel::{Condition, Kernel, SampleRng, Stream};
use pfgmpp_sampler::{Corruption, StartFromCondition};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let sigma: f64 = args
        .next()
        .ok_or("give the noise, then run folders")?
        .parse()?;
    let device = Device::Cpu;
    println!(
        "run                            shown    one step   weight 0.9   sampled   weight 0.75    (PSNR, dB)"
    );
    for run in args {
        let run = Path::new(&run);
        let (_, config) = Document::read::<RunConfig>(&run.join("config.yaml"))?;
        let data = config.data.load()?.held_out;
        let truth = data.images()?.to_dtype(DType::F64)?;
        let num = data.num_images();
        let mut rngs = SampleRng::batch(0, Stream::Observation, 0, num);
        let noisy = Corruption::Noise(sigma).observe(&truth, &mut rngs)?;
        let model = Model::load(&run.join("checkpoint"), &device)?;
        let kernel = Kernel::new(data.n(), model.config.d)?;
        let condition = Condition::none().with_image(noisy.clone())?;
        let seeds: Vec<u64> = (0..num as u64).collect();
        let drawn = |one_step, weight| -> Result<f64, Failure> {
            let mut sampler = config.sampler.clone();
            let weight = Some(weight);
            sampler.start_from_condition = Some(StartFromCondition {
                sigma,
                weight,
                one_step,
            });
            let samples = sampler.build()?.sample(
                &*model.denoiser,
                &condition,
                &kernel,
                &data.image_shape(),
                &seeds,
                &device,
            )?;
            psnr(&samples, &truth)
        };
        println!(
            "{:<30} {:5.2}    {:5.2}      {:5.2}        {:5.2}     {:5.2}",
            run.file_name().unwrap_or_default().to_string_lossy(),
            psnr(&noisy, &truth)?,
            drawn(true, 1.0)?,
            drawn(true, 0.9)?,
            drawn(false, 1.0)?,
            drawn(false, 0.75)?
        );
    }
    Ok(())
}

/// Of pixels from -1 to 1, over all images together.
fn psnr(estimate: &Tensor, truth: &Tensor) -> Result<f64, Failure> {
    let error = (estimate.to_dtype(DType::F64)? - truth)?;
    let error = error.sqr()?.mean_all()?.to_scalar::<f64>()?;
    Ok(10.0 * (4.0 / error).log10())
}
