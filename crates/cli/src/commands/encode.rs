//! `pfgmpp encode`: data as latent states, and back.

use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use pfgmpp_data::Dataset;
use pfgmpp_run::{RunError, SampleFile, SampleFormat};
use serde::Serialize;

use crate::data_args::{DataArgs, classes};
use crate::device::DeviceArgs;
use crate::failure::Failure;
use crate::interrupt::stop_on_signal;
use crate::model_args::ModelArgs;
use crate::opening;
use crate::out_file;
use crate::terminal::{Counter, note, print, print_json};

#[derive(clap::Args)]
#[command(override_usage = "pfgmpp encode [OPTIONS] --checkpoint <REF> --data <SOURCE>")]
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
    let model = args.model.load(None, 0, &device)?;
    let parts = args.data.load(&model)?;
    let there: usize = parts.iter().map(|(_, data)| data.num_images()).sum();
    let num = there.min(args.num as usize);
    if (num as u64) < args.num {
        note(format_args!(
            "there are {num} items in that part of the data: all of them are encoded"
        ));
    }
    note(opening::sampler(&model));
    if model.label_dim() > 0 {
        note("each item is taken in its own class");
    }
    let batch = args.batch.min(num as u64);
    if device.is_cpu() {
        model.check_memory("--batch", batch, batch)?;
    }
    let groups = groups(&parts, num, batch as usize);
    let own_classes = |(part, indices): &(&Dataset, Vec<usize>)| classes(&model, part, indices);
    let classes: Vec<Option<Vec<usize>>> =
        groups.iter().map(own_classes).collect::<Result<_, _>>()?;
    let mut file = match (&args.out, format) {
        (Some(out), Some(format)) => {
            // The places of the images stand for seeds: a file of latents is one of states by sample.
            let places: Vec<u64> = (0..num as u64).collect();
            let all: Option<Vec<Vec<usize>>> = classes.iter().cloned().collect();
            let all = all.map(|classes| classes.concat());
            Some(SampleFile::create(
                out,
                format,
                model.shape(),
                &places,
                all,
                None,
            )?)
        }
        _ => None,
    };
    let stop = signals.begin();
    let counter = Counter::new(num as u64, "images");
    let (mut errors, mut squares) = (Vec::new(), 0.0);
    for ((data, indices), own) in groups.iter().zip(&classes) {
        let y = data.batch(indices, &device).map_err(RunError::from)?;
        let condition = model.condition(own.as_deref(), &device)?;
        let latents = model.encode(&y, &condition, stop)?;
        let back = model.decode(&latents, &condition, false, stop)?;
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
        counter.add(indices.len() as u64);
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
        "norm of the latents beside the prior's: {:.4} (root of the mean square over the highest noise level; 1 for samples \
         at D = inf, by chance below or above at finite D)",
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
        match SampleFormat::of(out) {
            Some(SampleFormat::Npz | SampleFormat::Csv) | None => Err(Failure::bad_input(format!(
                "{}: latents are written as .npy or .safetensors: give such a name",
                out.display()
            ))),
            format => out_file::check(out, &[], self.overwrite).map(|()| format),
        }
    }
}

/// The first `num` images of all parts, `batch` of one part at a time.
fn groups<'a>(
    parts: &'a [(&str, Dataset)],
    num: usize,
    batch: usize,
) -> Vec<(&'a Dataset, Vec<usize>)> {
    let (mut left, mut groups) = (num, Vec::new());
    for (_, data) in parts {
        let indices: Vec<usize> = (0..data.num_images().min(left)).collect();
        left -= indices.len();
        groups.extend(indices.chunks(batch).map(|chunk| (data, chunk.to_vec())));
    }
    groups
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
