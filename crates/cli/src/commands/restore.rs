//! `pfgmpp restore`: inpainting, super-resolution and denoising by a model that was trained for none of them.

mod flags;
mod pictures;
mod quality;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use pfgmpp_data::ImageFiles;
use pfgmpp_kernel::{Dimension, SampleRng, Stream};
use pfgmpp_run::{Draw, Restoring, RunError, SamplingModel, check_drawable};
use pfgmpp_sampler::{Observation, Operator, SamplerConfig};
use serde::Serialize;

use self::flags::TaskArgs;
use self::pictures::{Shown, check_place, names, others};
use self::quality::{Quality, measure, psnr};
use crate::device::DeviceArgs;
use crate::drawn_args::DrawnArgs;
use crate::failure::Failure;
use crate::interrupt::stop_on_signal;
use crate::model_args::ModelArgs;
use crate::opening;
use crate::terminal::{Counter, note, print, print_json};

/// Samples of all images together.
const MAX_SAMPLES: u64 = 1 << 20;

#[derive(clap::Args)]
#[command(override_usage = "pfgmpp restore [OPTIONS] --checkpoint <REF> --task <TASK> --out <DIR>")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    drawn: DrawnArgs,
    #[command(flatten)]
    task: TaskArgs,
    /// A folder or ZIP archive of images: whole ones, of which the observations are made, or with --observed the
    /// observations themselves
    #[arg(long, value_name = "PATH")]
    images: PathBuf,
    /// The images are observations already: small ones to enlarge, noisy ones to clean, ones with holes to fill
    #[arg(long)]
    observed: bool,
    /// Folder for the restored images, with one picture of all side by side, grid.png
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Restored samples of each image
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1024))]
    samples: u64,
    /// Seed of the first sample; the next has the next seed
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Samples drawn at a time, at least one per thread; it changes memory and speed, not the samples
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    batch: u64,
    /// Write into a folder that is not empty
    #[arg(long)]
    overwrite: bool,
    /// Write what was restored as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

/// What was restored, as JSON.
#[derive(Serialize)]
struct Restored<'a> {
    /// The folder.
    out: &'a Path,
    /// The task.
    task: &'static str,
    /// The method.
    method: &'static str,
    /// Standard deviation of the observation's noise.
    noise: f64,
    /// The dimension D of the samples.
    d: Dimension,
    /// All that they are drawn with.
    sampler: &'a SamplerConfig,
    /// Evaluations of the model per sample; absent where they depend on the sample.
    evaluations: Option<usize>,
    /// Samples of each image.
    samples: u64,
    /// Seed of the first sample.
    first_seed: u64,
    /// Each image.
    images: Vec<Quality>,
}

pub fn restore(args: &Args) -> Result<(), Failure> {
    args.task.check()?;
    check_place(&args.out, &args.images, args.overwrite)?;
    let signals = stop_on_signal()?;
    let device = args.device.open()?;
    let files = ImageFiles::read(&args.images).map_err(RunError::from)?;
    let mask = args.task.read_mask()?;
    let seeds = seeds(args, files.names.len())?;
    let model = args.model.load_any(Some(&args.drawn), args.seed, &device)?;
    if model.shown() == Some(pfgmpp_train::Shown::Paired) {
        return Err(Failure::bad_input(
            "--checkpoint: the model was trained on pairs from two sources: pfgmpp sample --input shows it images",
        ));
    }
    args.task.meet(model.corruption())?;
    check_drawable(model.shape()).map_err(|e| Failure::bad_input(format!("--out: {e}")))?;
    args.task.check_model(model.is_exact())?;
    let operator = args.task.operator(mask.as_ref(), model.shape())?;
    let observation = args.task.observation(Arc::clone(&operator))?;
    let observed = observe(args, &files, &observation, &*operator, model.shape())?;
    let model = model.restoring(Restoring {
        observation,
        observed: observed.clone(),
        samples: args.samples,
        first_seed: args.seed,
        method: args.task.method()?,
    })?;
    if device.is_cpu() {
        let num = seeds.len() as u64;
        model.check_memory("--batch", args.batch.min(num), num)?;
    }
    say(args, &files, &model);
    std::fs::create_dir_all(&args.out).map_err(|e| RunError::io(&args.out)(e))?;
    let samples = draw(args, &model, &seeds, &device, signals.begin()).inspect_err(|_| {
        // A folder that is left with nothing in it would only be in the way; one that holds something is not removed.
        let _ = std::fs::remove_dir(&args.out);
    })?;
    let whole = (!args.observed).then_some(&files.images);
    let shown = Shown {
        whole,
        observed: &args.task.shown(&operator.transpose(&observed)?)?,
        samples: &samples,
    };
    let names = names(&files.names);
    let written = shown.write(&args.out, &names)?;
    let others = others(&args.out, &written);
    if others > 0 {
        note(format_args!(
            "{}: {others} others were there before and stay",
            args.out.display()
        ));
    }
    let qualities = match whole {
        None => names.iter().map(|name| Quality::unknown(name)).collect(),
        Some(whole) => measure(&names, whole, shown.observed, &samples)?,
    };
    report(args, &model, qualities)
}

/// One seed a sample.
fn seeds(args: &Args, images: usize) -> Result<Vec<u64>, Failure> {
    let num = images as u64 * args.samples;
    if num > MAX_SAMPLES {
        return Err(Failure::bad_input(format!(
            "--samples: {} of each of {images} images are {num} samples, up to {MAX_SAMPLES} are accepted",
            args.samples
        )));
    }
    let end = args.seed.checked_add(num).ok_or_else(|| {
        Failure::bad_input(format!(
            "--seed: {} leaves no room for {num} seeds",
            args.seed
        ))
    })?;
    Ok((args.seed..end).collect())
}

/// What is observed, `[images, ...]`: of whole images made here, the noise of each by its place.
fn observe(
    args: &Args,
    files: &ImageFiles,
    observation: &Observation,
    operator: &dyn Operator,
    shape: [usize; 3],
) -> Result<Tensor, Failure> {
    let got = &files.images.dims()[1..];
    let want = match args.observed {
        true => args.task.picture_shape(shape),
        false => shape,
    };
    if got != want {
        let which = match args.observed {
            true => "the observations of its images have",
            false => "the model's images have",
        };
        return Err(Failure::bad_input(format!(
            "--images: images of shape {got:?}, {which} {want:?}"
        )));
    }
    if !args.observed {
        let mut rngs = SampleRng::batch(args.seed, Stream::Observation, 0, files.names.len());
        return Ok(observation.observe(&files.images, &mut rngs)?);
    }
    match args.task.hides() {
        true => Ok(operator.apply(&files.images)?),
        false => Ok(files.images.clone()),
    }
}

/// What is restored, and where to.
fn say(args: &Args, files: &ImageFiles, model: &SamplingModel) {
    let what = match args.observed {
        true => "observations",
        false => "whole images, of which observations are made",
    };
    let handled: String = files
        .remarks
        .iter()
        .map(|remark| format!("; {remark}"))
        .collect();
    let left_out = match files.skipped.len() {
        0 => String::new(),
        _ => {
            let skipped: Vec<String> = files.skipped.iter().map(ToString::to_string).collect();
            format!("; left out: {}", skipped.join(", "))
        }
    };
    note(format_args!(
        "images: {} {what}; {}{handled}{left_out}",
        files.names.len(),
        args.task.sentence()
    ));
    note(opening::sampler(model));
    if model.asked_for().is_some() {
        note("restored images are of these classes: --class says which");
    }
    note(opening::place(&args.device, &args.out));
}

/// The samples, `[images, samples, C, H, W]`.
fn draw(
    args: &Args,
    model: &SamplingModel,
    seeds: &[u64],
    device: &Device,
    stop: &pfgmpp_run::StopFlag,
) -> Result<Tensor, Failure> {
    let counter = Counter::new(seeds.len() as u64, "samples");
    let draw = Draw {
        model,
        seeds,
        batch_size: args.batch as usize,
        device,
    };
    let mut before = 0;
    let samples = draw.collect(stop, |done| {
        counter.add(done - before);
        before = done;
    })?;
    counter.close();
    let samples = samples.ok_or_else(|| Failure::from(RunError::Stopped))?;
    let images = seeds.len() / args.samples as usize;
    let mut shape = vec![images, args.samples as usize];
    shape.extend(model.shape());
    Ok(samples.to_dtype(DType::F32)?.reshape(shape)?)
}

fn report(args: &Args, model: &SamplingModel, images: Vec<Quality>) -> Result<(), Failure> {
    if args.json {
        return print_json(&Restored {
            out: &args.out,
            task: args.task.name(),
            method: args.task.method_name(),
            noise: args.task.noise(),
            d: model.d(),
            sampler: model.sampler_config(),
            evaluations: model.evaluations(),
            samples: args.samples,
            first_seed: args.seed,
            images,
        });
    }
    print(format_args!(
        "{} images restored at D = {}: {}",
        images.len(),
        model.d(),
        args.out.display()
    ));
    let average = |values: Vec<f64>| match values.len() {
        0 => None,
        len => Some(values.iter().sum::<f64>() / len as f64),
    };
    let of =
        |value: fn(&Quality) -> Option<f64>| average(images.iter().filter_map(value).collect());
    if let (Some(samples), Some(observed)) = (of(|q| q.psnr), of(|q| q.psnr_observed)) {
        let mean = of(|q| q.psnr_mean).map(|mean| format!(", of their mean {}", psnr(mean)));
        print(format_args!(
            "PSNR against the whole images: {} of the samples{}, {} of what was observed",
            psnr(samples),
            mean.unwrap_or_default(),
            psnr(observed)
        ));
    }
    Ok(())
}
