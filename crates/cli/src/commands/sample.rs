//! `pfgmpp sample`: samples of a trained model, or of one that needs no training.

pub(super) mod pictures;
pub(super) mod place;

use std::path::{Path, PathBuf};

use pfgmpp_data::ImageFiles;
use pfgmpp_kernel::Dimension;
use pfgmpp_run::{Draw, RunError, SampleFile, SamplingModel, sample_grid, sample_rows, square};
use pfgmpp_sampler::{Classes, SamplerConfig};
use pfgmpp_store::write_file;
use serde::Serialize;

use self::pictures::Pictures;
use self::place::Form;
use crate::device::DeviceArgs;
use crate::drawn_args::DrawnArgs;
use crate::failure::Failure;
use crate::interrupt::{Signals, stop_on_signal};
use crate::labels::Labels;
use crate::model_args::ModelArgs;
use crate::opening;
use crate::seeds::Seeds;
use crate::terminal::{Counter, note, print, print_json};

/// Classes that have a column each in a grid.
const MOST_COLUMNS: usize = 32;

#[derive(clap::Args)]
#[command(override_usage = "pfgmpp sample [OPTIONS] --checkpoint <REF> --out <PATH>")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    drawn: DrawnArgs,
    /// Number of samples
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    num: u64,
    /// Seed of the first sample; the next has the next seed
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Seeds of the samples instead: 0-63,100. A seed gives the same sample whatever stands beside it, so that ranges
    /// can be drawn on several machines
    #[arg(long, value_name = "LIST", conflicts_with_all = ["num", "seed"])]
    seeds: Option<Seeds>,
    /// A name ending in .png for one picture, .npz for images as bytes (arr_0), .npy or .safetensors for the values, .csv
    /// for rows of a table; or a folder for one PNG per sample, named by its seed, with the classes in dataset.json if there are any
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// Images that a model of pairs (condition: paired) is shown, one for each sample and again from the first when there are
    /// no more: a folder or a ZIP archive, in the order of names, or one image
    #[arg(long, value_name = "PATH")]
    input: Option<PathBuf>,
    /// Samples drawn at a time, at least one per thread; it changes memory and speed, not the samples
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    batch: u64,
    /// Replace samples that are there already
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
    /// Seed of the first.
    first_seed: u64,
    /// All seeds, as `--seeds` takes them.
    seeds: String,
    /// The dimension D of the samples.
    d: Dimension,
    /// All that they are drawn with.
    sampler: &'a SamplerConfig,
    /// Evaluations of the model per sample; absent where they depend on the sample.
    evaluations: Option<usize>,
    /// The shape of a sample, `[C, H, W]`.
    shape: [usize; 3],
    /// The class of each sample, empty without classes.
    classes: Vec<usize>,
}

pub fn sample(args: &Args) -> Result<(), Failure> {
    let seeds = args.seeds()?;
    let form = Form::of(&args.out);
    place::check(&args.out, form, seeds.num(), args.overwrite)?;
    let signals = stop_on_signal()?;
    let device = args.device.open()?;
    // Of a list of seeds the class of one does not depend on what else is in the list.
    let first_seed = if args.seeds.is_some() { 0 } else { args.seed };
    let model = match &args.input {
        None => args.model.load(Some(&args.drawn), first_seed, &device)?,
        Some(path) => {
            let files = ImageFiles::read(path).map_err(RunError::from)?;
            note(format_args!(
                "input: {} images of {}, one for each sample",
                files.names.len(),
                path.display()
            ));
            let mut drawn = args.drawn.clone();
            if let Some([low, sigma, high]) = drawn.measure(&files.images)? {
                note(format_args!(
                    "samples start at sigma = {sigma}, the noise that the images show by the median of their finest wavelet details \
                     (from {low:.3} to {high:.3})"
                ));
            }
            let model = args.model.load_any(Some(&drawn), first_seed, &device)?;
            let inputs = model.with_inputs(files.images, first_seed);
            inputs.map_err(|e| Failure::bad_input(format!("--{e}")))?
        }
    };
    model.check_start()?;
    place::check_form(form, model.shape())?;
    let list = seeds.list();
    if form == Form::Pictures && !args.overwrite {
        place::check_samples(&args.out, &list)?;
    }
    if device.is_cpu() {
        let batch = args.batch.min(seeds.num());
        // Only a grid needs all samples at once.
        let kept = if form == Form::Grid {
            seeds.num()
        } else {
            batch
        };
        model.check_memory("--batch", batch, kept)?;
    }
    note(opening::sampler(&model));
    note(opening::place(&args.device, &args.out));
    if let Some(line) = place::units(form, &model) {
        note(line);
    }
    let draw = Draw {
        model: &model,
        seeds: &list,
        batch_size: args.batch as usize,
        device: &device,
    };
    write_samples(&args.out, form, &draw, args.overwrite, &signals)?;
    report(args, &seeds, form, &model)
}

impl Args {
    /// The seeds that the flags ask for.
    fn seeds(&self) -> Result<Seeds, Failure> {
        match &self.seeds {
            Some(seeds) => Ok(seeds.clone()),
            None => Seeds::following(self.seed, self.num)
                .map_err(|e| Failure::bad_input(format!("--seed: {e}"))),
        }
    }
}

/// Draws the samples, and writes them as `form` says.
fn write_samples(
    out: &Path,
    form: Form,
    draw: &Draw,
    overwrite: bool,
    signals: &Signals,
) -> Result<(), Failure> {
    let mut labels = match (form, draw.model.label_dim()) {
        (Form::Pictures, 1..) => Some(Labels::open(out)?),
        _ => None,
    };
    if form == Form::Pictures && labels.is_none() {
        place::check_unlabelled(out)?;
    }
    if form == Form::Pictures {
        std::fs::create_dir_all(out).map_err(|e| at(out, e))?;
    }
    place::prepare(out, form, draw.seeds)?;
    let stop = signals.begin();
    let counter = Counter::new(draw.seeds.len() as u64, "samples");
    let stopped = || Failure::from(RunError::Stopped);
    match form {
        Form::Grid => {
            let mut before = 0;
            let samples = draw.collect(stop, |done| {
                counter.add(done - before);
                before = done;
            })?;
            counter.close();
            let samples = samples.ok_or_else(stopped)?;
            let grid = match columns(draw.model, draw.seeds.len()) {
                Some(columns) => sample_rows(&samples, columns),
                None => sample_grid(&samples, None),
            };
            let grid = grid.map_err(RunError::from)?;
            write(out, &grid.to_png().map_err(RunError::from)?)
        }
        Form::Array(format) => {
            let (shape, classes) = (draw.model.shape(), draw.model.classes(draw.seeds));
            let mut file = SampleFile::create(
                out,
                format,
                shape,
                draw.seeds,
                classes,
                draw.model.columns(),
            )?;
            let all = draw.run_in_order::<RunError>(stop, |group, samples| {
                counter.add(group.len() as u64);
                file.add(&samples)
            });
            counter.close();
            match all? {
                true => Ok(file.finish()?),
                false => Err(stopped()),
            }
        }
        Form::Pictures => {
            let mut pictures = Pictures::new(out, overwrite);
            let all = draw.run(stop, |group, samples| {
                counter.add(group.len() as u64);
                let seeds = &draw.seeds[group];
                if let (Some(labels), Some(classes)) = (&mut labels, draw.model.classes(seeds)) {
                    let names = seeds.iter().map(|&seed| place::file_name(seed));
                    labels.add(names.zip(classes));
                }
                pictures.add(&samples, seeds)
            });
            counter.close();
            // What was drawn before a failure is not lost by it.
            let rest = pictures.write();
            if let Some(labels) = &mut labels {
                labels.take_out(pictures.taken());
                labels.write(out)?;
            }
            rest?;
            pictures.check_own()?;
            if all? { Ok(()) } else { Err(stopped()) }
        }
    }
}

/// Pictures in a row of a grid where they are of some classes in turn: one of each class.
fn columns(model: &SamplingModel, num: usize) -> Option<usize> {
    match model.asked_for() {
        Some(Classes::List(list)) if (2..=num.min(MOST_COLUMNS)).contains(&list.len()) => {
            Some(list.len())
        }
        _ => None,
    }
}

/// Says what was drawn.
fn report(args: &Args, seeds: &Seeds, form: Form, model: &SamplingModel) -> Result<(), Failure> {
    let list = seeds.list();
    let classes = model.classes(&list).unwrap_or_default();
    if args.json {
        return print_json(&Drawn {
            out: &args.out,
            num: seeds.num(),
            first_seed: list[0],
            seeds: seeds.to_string(),
            d: model.d(),
            sampler: model.sampler_config(),
            evaluations: model.evaluations(),
            shape: model.shape(),
            classes,
        });
    }
    print(format_args!(
        "{} samples at D = {}: {}",
        seeds.num(),
        model.d(),
        args.out.display()
    ));
    if form == Form::Grid && classes.iter().any(|class| *class != classes[0]) {
        let columns = columns(model, classes.len()).unwrap_or(square(classes.len()));
        for row in classes.chunks(columns) {
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
