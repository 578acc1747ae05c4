//! `pfgmpp sample`: samples of a trained model, or of one that needs no training.

mod pictures;
mod place;

use std::path::{Path, PathBuf};

use pfgmpp_data::is_planar;
use pfgmpp_kernel::Dimension;
use pfgmpp_run::{Draw, RunError, check_drawable, sample_grid, square};
use pfgmpp_store::write_file;
use serde::Serialize;

use self::pictures::Pictures;
use crate::device::DeviceArgs;
use crate::failure::Failure;
use crate::interrupt::stop_on_signal;
use crate::labels::Labels;
use crate::model_args::ModelArgs;
use crate::opening;
use crate::terminal::{Counter, note, print, print_json};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Number of samples
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    num: u64,
    /// Seed of the first sample; the next has the next seed
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// A file ending in .png for one picture, or a folder for one PNG a sample, named by its seed, with the classes in
    /// dataset.json if there are any
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// Samples drawn at a time, at least one by each thread; it changes memory and speed, not the samples
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    batch: u64,
    /// Replace samples that lie in the folder already
    #[arg(long)]
    overwrite: bool,
    /// Write what was drawn as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

/// What was drawn, as JSON.
#[derive(Serialize)]
struct Drawn<'a> {
    /// The picture or folder.
    out: &'a Path,
    /// Samples.
    num: u64,
    /// Seed of the first; the next has the next.
    first_seed: u64,
    /// The dimension D of the samples.
    d: Dimension,
    /// The shape of a sample, `[C, H, W]`.
    shape: [usize; 3],
    /// The class of each sample, empty without classes.
    classes: Vec<usize>,
}

pub fn sample(args: &Args) -> Result<(), Failure> {
    let as_grid = args
        .out
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("png"));
    place::check(&args.out, as_grid, args.num)?;
    let signals = stop_on_signal()?;
    let device = args.device.open()?;
    let model = args.model.load(args.seed, &device)?;
    if !as_grid && is_planar(model.shape()) {
        return Err(Failure::bad_input(
            "--out: points in the plane are drawn together: give a name that ends in .png",
        ));
    }
    check_drawable(model.shape()).map_err(|e| Failure::bad_input(format!("--out: {e}")))?;
    let last = args.seed.checked_add(args.num - 1).ok_or_else(|| {
        Failure::bad_input(format!(
            "--seed: {} leaves no room for {} seeds",
            args.seed, args.num
        ))
    })?;
    let seeds: Vec<u64> = (args.seed..=last).collect();
    if !as_grid && !args.overwrite {
        place::check_samples(&args.out, &seeds)?;
    }
    if device.is_cpu() {
        let batch = args.batch.min(args.num);
        // Pictures of their own are not kept.
        let kept = if as_grid { args.num } else { batch };
        model.check_memory("--batch", batch, kept)?;
    }
    note(opening::place(&args.device, &args.out));
    let mut labels = match model.label_dim() {
        0 => None,
        _ if as_grid => None,
        _ => Some(Labels::open(&args.out)?),
    };
    if !as_grid {
        std::fs::create_dir_all(&args.out).map_err(|e| at(&args.out, e))?;
    }
    place::prepare(&args.out, as_grid, &seeds)?;
    let stop = signals.begin();
    let counter = Counter::new(args.num, "samples");
    let draw = Draw {
        model: &model,
        seeds: &seeds,
        batch_size: args.batch as usize,
        device: &device,
    };
    let stopped = || Failure::Interrupted("stopped".to_string());
    if as_grid {
        let mut before = 0;
        let samples = draw.collect(stop, |done| {
            counter.add(done - before);
            before = done;
        })?;
        counter.close();
        let grid = sample_grid(&samples.ok_or_else(stopped)?, None).map_err(RunError::from)?;
        write(&args.out, &grid.to_png().map_err(RunError::from)?)?;
    } else {
        let mut pictures = Pictures::new(&args.out);
        let all = draw.run(stop, |group, samples| {
            counter.add(group.len() as u64);
            let seeds = &seeds[group];
            if let (Some(labels), Some(classes)) = (&mut labels, model.classes(seeds)) {
                labels.add(
                    seeds
                        .iter()
                        .map(|&seed| place::file_name(seed))
                        .zip(classes),
                );
            }
            pictures.add(&samples, seeds)
        });
        counter.close();
        // What was drawn before a failure is not lost by it.
        pictures.write()?;
        let all = all?;
        if let Some(labels) = &labels {
            labels.write().map_err(|e| at(&args.out, e))?;
        }
        if !all {
            return Err(stopped());
        }
    }
    let classes = model.classes(&seeds).unwrap_or_default();
    if args.json {
        return print_json(&Drawn {
            out: &args.out,
            num: args.num,
            first_seed: args.seed,
            d: model.d(),
            shape: model.shape(),
            classes,
        });
    }
    print(format_args!(
        "{} samples at D = {}: {}",
        args.num,
        model.d(),
        args.out.display()
    ));
    if as_grid && classes.iter().any(|class| *class != classes[0]) {
        for row in classes.chunks(square(classes.len())) {
            let row: Vec<String> = row.iter().map(ToString::to_string).collect();
            print(format_args!("classes of a row: {}", row.join(" ")));
        }
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    write_file(path, bytes).map_err(|e| at(path, e))
}

fn at(path: &Path, source: std::io::Error) -> Failure {
    RunError::io(path)(source).into()
}
