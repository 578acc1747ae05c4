//! `pfgmpp encode`: data as latent states, and back.

use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use pfgmpp_run::{RunError, SampleFile, SampleFormat};
use serde::Serialize;

use crate::data_args::DataArgs;
use crate::device::DeviceArgs;
use crate::failure::Failure;
use crate::interrupt::stop_on_signal;
use crate::model_args::ModelArgs;
use crate::terminal::{Counter, note, print, print_json};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Images to encode, the first of the data
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    num: u64,
    /// Images at a time; it changes memory and speed, not the latents
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    batch: u64,
    /// A file for the latents, ending in .npy or .safetensors: states at the highest noise level, in the order of the data
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace that file if it is there
    #[arg(long, requires = "out")]
    overwrite: bool,
    /// Write the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

/// What became of the data, as JSON.
#[derive(Serialize)]
struct Encoded {
    /// Images.
    num: usize,
    /// Root of the mean squared difference between the data and what the latents decode to, in units of the data.
    reconstruction_rms: f64,
    /// The same of the image that it is largest for.
    reconstruction_rms_max: f64,
    /// Root of the mean square of a latent's values over the highest noise level: 1 on average over samples at D = inf.
    latent_scale: f64,
}

pub fn encode(args: &Args) -> Result<(), Failure> {
    let format = args.format()?;
    let signals = stop_on_signal()?;
    let device = args.device.open()?;
    let model = args.model.load(0, &device)?;
    let data = args.data.load(model.shape())?;
    let num = data.num_images().min(args.num as usize);
    if (num as u64) < args.num {
        note(format_args!(
            "the data hold {num} images: all of them are encoded"
        ));
    }
    let all: Vec<usize> = (0..num).collect();
    let batch = args.batch.min(num as u64);
    if device.is_cpu() {
        model.check_memory("--batch", batch, batch)?;
    }
    let classes = classes(&model, &data, &all)?;
    // The places of the images stand for seeds: a file of latents is one of states by sample.
    let places: Vec<u64> = (0..num as u64).collect();
    let mut file = match (&args.out, format) {
        (Some(out), Some(format)) => {
            let classes = classes.clone();
            Some(SampleFile::create(
                out,
                format,
                model.shape(),
                &places,
                classes,
            )?)
        }
        _ => None,
    };
    let stop = signals.begin();
    let counter = Counter::new(num as u64, "images");
    let (mut errors, mut squares) = (Vec::new(), 0.0);
    for group in all.chunks(batch as usize) {
        let y = data.batch(group, &device).map_err(RunError::from)?;
        let own: Option<Vec<usize>> = classes
            .as_ref()
            .map(|all| group.iter().map(|&i| all[i]).collect());
        let latents = model
            .encode(&y, own.as_deref(), stop)
            .map_err(interrupted)?;
        let back = model
            .decode(&latents, own.as_deref(), false, stop)
            .map_err(interrupted)?;
        errors.extend(rms_of_each(&(back - &y).map_err(RunError::from)?)?);
        let latents = latents
            .to_device(&Device::Cpu)
            .and_then(|x| x.to_dtype(DType::F32))
            .map_err(RunError::from)?;
        squares += rms_of_each(&latents)?
            .iter()
            .map(|rms| rms * rms)
            .sum::<f64>();
        if let Some(file) = &mut file {
            file.add(&latents)?;
        }
        counter.add(group.len() as u64);
    }
    counter.close();
    if let Some(file) = file {
        file.finish()?;
    }
    let mean_square = errors.iter().map(|rms| rms * rms).sum::<f64>() / num as f64;
    let found = Encoded {
        num,
        reconstruction_rms: mean_square.sqrt(),
        reconstruction_rms_max: errors.iter().copied().fold(0.0, f64::max),
        latent_scale: (squares / num as f64).sqrt() / model.sampler().levels().sigma_max(),
    };
    if args.json {
        return print_json(&found);
    }
    print(format_args!(
        "{num} images at D = {}: reconstruction error {:.3e} (root of the mean square; {:.3e} for the worst image)",
        model.d(),
        found.reconstruction_rms,
        found.reconstruction_rms_max
    ));
    print(format_args!(
        "latents over the highest noise level: {:.4} (root of the mean square)",
        found.latent_scale
    ));
    if let Some(out) = &args.out {
        print(format_args!("latents: {}", out.display()));
    }
    Ok(())
}

impl Args {
    /// The kind of file that latents are written to, if any.
    fn format(&self) -> Result<Option<SampleFormat>, Failure> {
        let Some(out) = &self.out else {
            return Ok(None);
        };
        let refuse =
            |message: &str| Err(Failure::bad_input(format!("{}: {message}", out.display())));
        match SampleFormat::of(out) {
            Some(SampleFormat::Npz) | None => {
                refuse("latents are written as .npy or .safetensors: give such a name")
            }
            Some(_) if out.exists() && !self.overwrite => {
                refuse("is there already: give another name, or --overwrite")
            }
            format => Ok(format),
        }
    }
}

/// The class of each image, for a model that has classes: the data's own.
fn classes(
    model: &pfgmpp_run::SamplingModel,
    data: &pfgmpp_data::Dataset,
    indices: &[usize],
) -> Result<Option<Vec<usize>>, Failure> {
    if model.label_dim() == 0 {
        return Ok(None);
    }
    let labels = data.labels(indices).map_err(RunError::from)?;
    let labels = labels.filter(|_| data.num_classes() == model.label_dim());
    let Some(labels) = labels else {
        return Err(Failure::bad_input(format!(
            "--data: the model has {} classes, the data have {}: images are encoded under their own classes",
            model.label_dim(),
            data.num_classes()
        )));
    };
    Ok(Some(
        labels.into_iter().map(|class| class as usize).collect(),
    ))
}

fn interrupted(error: RunError) -> Failure {
    match error {
        RunError::Stopped => Failure::Interrupted("stopped".to_string()),
        error => error.into(),
    }
}

/// Root of the mean square of each row's values.
fn rms_of_each(x: &Tensor) -> Result<Vec<f64>, RunError> {
    let squares = x.to_dtype(DType::F64)?.sqr()?.flatten_from(1)?.mean(1)?;
    Ok(squares
        .to_vec1::<f64>()?
        .into_iter()
        .map(f64::sqrt)
        .collect())
}
