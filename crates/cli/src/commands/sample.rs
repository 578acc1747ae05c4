//! `pfgmpp sample`: samples of a trained model, or of one that needs no training.

mod pictures;
mod place;

use std::path::{Path, PathBuf};

use candle_core::Device;
use pfgmpp_checkpoint::{DataSummary, Model, resolve};
use pfgmpp_config::{Document, ModelConfig, RunConfig};
use pfgmpp_data::is_planar;
use pfgmpp_kernel::Dimension;
use pfgmpp_run::{Draw, RunError, SamplingModel, check_drawable, fetch, sample_grid, square};
use pfgmpp_sampler::{Classes, Guidance, SamplerConfig};
use pfgmpp_store::write_file;
use pfgmpp_transfer::Guess;
use serde::Serialize;

use self::pictures::Pictures;
use crate::device::DeviceArgs;
use crate::download::hub;
use crate::failure::Failure;
use crate::interrupt::stop_on_signal;
use crate::labels::Labels;
use crate::opening;
use crate::terminal::{Counter, note, print, print_json};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    source: Source,
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
    /// Solver steps [default: as the model was scored with]
    #[arg(long, value_name = "K")]
    steps: Option<usize>,
    /// Dimension D to sample at: a diffusion model (D = inf) samples at any D by its effective noise
    /// [default: that of the model]
    #[arg(long, value_name = "D")]
    d: Option<Dimension>,
    /// Where the effective noise takes its guess of the data from
    #[arg(long, value_enum, default_value_t = GuessArg::Previous)]
    guess: GuessArg,
    /// Classes of the samples, in turn, of a model that has classes: 3, 0-9 or 0,3,5; uniform or data for random ones,
    /// all alike or as in the training data [default: as the model was scored with, else uniform]
    #[arg(long = "class", value_name = "CLASSES")]
    classes: Option<Classes>,
    /// Lead samples this far from those of no class to those of theirs: 1 for not at all, 2 for clearer classes
    /// [default: as the model was scored with]
    #[arg(long, value_name = "W")]
    guidance: Option<f64>,
    /// Noise levels between which samples are led [default: all]
    #[arg(
        long,
        value_name = "LOW,HIGH",
        value_delimiter = ',',
        requires = "guidance"
    )]
    guidance_interval: Option<Vec<f64>>,
    /// Replace samples that lie in the folder already
    #[arg(long)]
    overwrite: bool,
    /// Write what was drawn as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

/// Where the model comes from.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Source {
    /// Checkpoint folder, a run folder that holds one, a network of EDM or PFGM++ (.pkl, .pt), a folder of
    /// diffusers, or any of these on the Hugging Face Hub: hf://owner/name[@revision][/file]
    #[arg(long, value_name = "REF")]
    checkpoint: Option<PathBuf>,
    /// Configuration of a model that needs no training, such as configs/exact.yaml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum GuessArg {
    /// The mean of the data: one evaluation
    DataMean,
    /// The solver's last estimate: one evaluation
    Previous,
    /// The mean of the data first, then the estimate that it gave: two evaluations
    FixedPoint,
}

impl From<GuessArg> for Guess {
    fn from(guess: GuessArg) -> Self {
        match guess {
            GuessArg::DataMean => Self::DataMean,
            GuessArg::Previous => Self::Previous,
            GuessArg::FixedPoint => Self::FixedPoint { evaluations: 2 },
        }
    }
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
    let model = load(args, &device)?;
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

/// The model that the flags name, at the D and in the steps that they ask for.
fn load(args: &Args, device: &Device) -> Result<SamplingModel, Failure> {
    if let Some(path) = &args.source.config {
        let (document, _) = Document::read::<RunConfig>(path)?;
        let mut config = RunConfig::read(&document, &[])?;
        if let (ModelConfig::Exact { d }, Some(asked)) = (&mut config.model, args.d) {
            // An exact model is as good at one D as at another.
            *d = asked;
        }
        refuse_classes(args)?;
        config.sampler = adjusted(config.sampler, config.model.d(), args)?;
        config.check("the flags")?;
        fetch(&mut config, &[], &hub())?;
        let splits = pfgmpp_run::load(&config.data)?;
        note(format_args!("data: {}", splits.found));
        note(opening::run(&config, 0));
        return Ok(SamplingModel::untrained(&config, &splits.train, device)?);
    }
    let path = args.source.checkpoint.as_deref().unwrap_or(Path::new(""));
    let loaded = Model::load(&resolve(path, &hub())?.path, device)?;
    let data = loaded.config.data.clone();
    let trained_at = loaded.config.d;
    let sampler = adjusted(loaded.config.sampler.clone(), trained_at, args)?;
    check_classes(&sampler, &data, args)?;
    note(opening::checkpoint(&loaded.config, &loaded.notes));
    for text in &loaded.notes {
        note(text);
    }
    let model = SamplingModel::of_checkpoint(loaded, &sampler)?;
    let model = model.with_classes(args.seed, &data.class_counts)?;
    if let Some(classes) = model.asked_for() {
        say_classes(classes, data.label_dim, args);
    }
    if model.d() != trained_at {
        note(format_args!(
            "trained at D = {trained_at}, sampled at D = {} by its effective noise level",
            model.d()
        ));
    }
    Ok(model)
}

/// Refuses `--class` where there is nothing to choose from.
fn refuse_classes(args: &Args) -> Result<(), Failure> {
    match &args.classes {
        None => Ok(()),
        Some(classes) => Err(Failure::bad_input(format!(
            "--class {classes}: the model has no classes: leave it out"
        ))),
    }
}

/// Refuses classes that the model does not have.
fn check_classes(sampler: &SamplerConfig, data: &DataSummary, args: &Args) -> Result<(), Failure> {
    match (&sampler.classes, data.label_dim) {
        (_, 0) => refuse_classes(args),
        (None, _) => Ok(()),
        (Some(classes), label_dim) => classes
            .check(label_dim, &data.class_counts)
            .map_err(|e| Failure::bad_input(format!("--class: {e}"))),
    }
}

/// What classes the samples are of, and how others are asked for.
fn say_classes(classes: &Classes, label_dim: usize, args: &Args) {
    let which = match classes {
        Classes::Uniform => {
            format!("one of {label_dim} at random, all alike, by the sample's seed")
        }
        Classes::Data => {
            format!("one of {label_dim} at random, as in the training data, by the sample's seed")
        }
        Classes::List(list) if list.len() == 1 => format!("{classes}, of {label_dim}"),
        Classes::List(_) => format!("{classes} in turn, of {label_dim}"),
    };
    let other = match args.classes {
        None => format!(" (--class 0-{} asks for some)", label_dim - 1),
        Some(_) => String::new(),
    };
    note(format_args!("classes: {which}{other}"));
}

/// `sampler` with what the flags change in it.
fn adjusted(
    mut sampler: SamplerConfig,
    d: Dimension,
    args: &Args,
) -> Result<SamplerConfig, Failure> {
    if let Some(steps) = args.steps {
        sampler.schedule = sampler.schedule.with_num_steps(steps);
        sampler
            .check()
            .map_err(|e| Failure::bad_input(format!("--steps: {e}")))?;
    }
    if args.d.is_some() {
        sampler.d = args.d;
    }
    if args.classes.is_some() {
        sampler.classes.clone_from(&args.classes);
    }
    if let Some(scale) = args.guidance {
        let guidance = Guidance {
            scale,
            interval: interval(args)?,
        };
        guidance
            .check()
            .map_err(|e| Failure::bad_input(format!("--guidance: {e}")))?;
        sampler.guidance = Some(guidance);
    }
    if sampler.d.is_some_and(|other| other != d) && (args.d.is_some() || sampler.guess.is_none()) {
        sampler.guess = Some(args.guess.into());
    }
    Ok(sampler)
}

/// The two ends of `--guidance-interval`.
fn interval(args: &Args) -> Result<Option<[f64; 2]>, Failure> {
    match args.guidance_interval.as_deref() {
        None => Ok(None),
        Some(&[low, high]) => Ok(Some([low, high])),
        Some(other) => Err(Failure::bad_input(format!(
            "--guidance-interval: must be two noise levels such as 0.2,5, got {}",
            other.len()
        ))),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    write_file(path, bytes).map_err(|e| at(path, e))
}

fn at(path: &Path, source: std::io::Error) -> Failure {
    RunError::io(path)(source).into()
}
