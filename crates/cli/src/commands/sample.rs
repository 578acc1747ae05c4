//! `pfgmpp sample`: images from a trained model.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use pfgmpp_checkpoint::{Model, write_file};
use pfgmpp_data::to_image;
use pfgmpp_train::{RunError, sample_grid};

use crate::failure::Failure;
use crate::interrupt::stop_on_signal;
use crate::terminal::{Counter, print};

#[derive(clap::Args)]
pub struct Args {
    /// Checkpoint folder, or a run folder that holds one
    #[arg(long, value_name = "DIR")]
    checkpoint: PathBuf,
    /// Number of samples
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    num: u64,
    /// Seed of the first sample; the next has the next seed
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// A file ending in .png for one grid, or a folder for one PNG a sample, named by its seed
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// Samples drawn at a time; it changes memory and speed, not the samples
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    batch: u64,
    /// Solver steps [default: as the model was scored with]
    #[arg(long, value_name = "K")]
    steps: Option<usize>,
}

/// The largest number of samples that one grid shows.
const MAX_GRID: u64 = 4096;

pub fn sample(args: &Args) -> Result<(), Failure> {
    let as_grid = args
        .out
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("png"));
    check_out(args, as_grid)?;
    let device = Device::Cpu;
    let model = Model::load(&args.checkpoint, &device)?;
    let mut sampler = model.config.sampler.clone();
    if let Some(steps) = args.steps {
        sampler.schedule = sampler.schedule.with_num_steps(steps);
    }
    sampler
        .check()
        .map_err(|e| Failure::bad_input(format!("--steps: {e}")))?;
    let last = args.seed.checked_add(args.num - 1).ok_or_else(|| {
        Failure::bad_input(format!(
            "--seed: {} leaves no room for {} seeds",
            args.seed, args.num
        ))
    })?;
    if !as_grid {
        std::fs::create_dir_all(&args.out).map_err(|e| at(&args.out, e))?;
    }
    let stop = stop_on_signal()?;
    let counter = Counter::new(args.num, "samples");
    let mut shown = Vec::new();
    let seeds: Vec<u64> = (args.seed..=last).collect();
    for batch in seeds.chunks(args.batch as usize) {
        if stop.is_raised() {
            return Err(Failure::Interrupted("stopped".to_string()));
        }
        let shape = &model.config.data.shape;
        let samples = sampler.sample(&model.denoiser, &model.kernel, shape, batch, &device)?;
        if as_grid {
            shown.push(samples);
        } else {
            write_each(&samples, batch, &args.out)?;
        }
        counter.add(batch.len() as u64);
    }
    counter.close();
    if as_grid {
        let grid = sample_grid(&Tensor::cat(&shown, 0)?).map_err(RunError::from)?;
        write(&args.out, &grid.to_png().map_err(RunError::from)?)?;
    }
    print(format_args!(
        "{} samples at D = {}: {}",
        args.num,
        model.config.d,
        args.out.display()
    ));
    Ok(())
}

/// Refuses a place that cannot be written to before any work is done.
fn check_out(args: &Args, as_grid: bool) -> Result<(), Failure> {
    let out = &args.out;
    let picture = ["jpg", "jpeg", "gif", "webp", "bmp", "tif", "tiff"];
    let extension = out.extension().unwrap_or_default().to_ascii_lowercase();
    if picture.iter().any(|other| extension == *other) {
        return Err(Failure::bad_input(format!(
            "{}: pictures are written as PNG: give a name that ends in .png, or a folder",
            out.display()
        )));
    }
    if as_grid && args.num > MAX_GRID {
        return Err(Failure::bad_input(format!(
            "--num: a grid shows up to {MAX_GRID} samples, got {}: give a folder to --out",
            args.num
        )));
    }
    if as_grid && out.is_dir() {
        return Err(Failure::bad_input(format!(
            "{}: is a folder",
            out.display()
        )));
    }
    if !as_grid && out.is_file() {
        return Err(Failure::bad_input(format!(
            "{}: is a file: a grid needs a name that ends in .png",
            out.display()
        )));
    }
    let parent = out.parent().filter(|p| *p != Path::new(""));
    match parent {
        Some(parent) if as_grid && !parent.is_dir() => Err(Failure::bad_input(format!(
            "{}: no such folder",
            parent.display()
        ))),
        _ => Ok(()),
    }
}

fn write_each(samples: &Tensor, seeds: &[u64], folder: &Path) -> Result<(), Failure> {
    for (index, seed) in seeds.iter().enumerate() {
        let image = to_image(&samples.get(index)?).map_err(RunError::from)?;
        let path = folder.join(format!("{seed:06}.png"));
        write(&path, &image.to_png().map_err(RunError::from)?)?;
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    write_file(path, bytes).map_err(|e| at(path, e))
}

fn at(path: &Path, source: std::io::Error) -> Failure {
    let path = path.to_path_buf();
    RunError::Io { path, source }.into()
}
