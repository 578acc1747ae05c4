//! The flags that name a model and say how it is sampled.

use std::path::{Path, PathBuf};

use candle_core::Device;
use pfgmpp_checkpoint::{DataSummary, Model, resolve};
use pfgmpp_config::yaml::parse_value;
use pfgmpp_config::{Document, ModelConfig, RunConfig};
use pfgmpp_kernel::Dimension;
use pfgmpp_run::{RunError, SamplingModel, fetch};
use pfgmpp_sampler::{Classes, Guidance, SamplerConfig, SelfTimed};
use pfgmpp_transfer::{Guess, Schedule};
use serde::Deserialize;

use crate::download::hub;
use crate::failure::Failure;
use crate::opening;
use crate::terminal::note;

/// A model and its sampler, for every command that takes one.
#[derive(clap::Args)]
pub struct ModelArgs {
    #[command(flatten)]
    source: Source,
    /// Solver: euler, heun, dpmpp2m, ..., one with parameters as 'unipc: {order: 3, variant: bh2}'
    /// [default: as the model was scored with]
    #[arg(long, value_name = "SOLVER")]
    solver: Option<String>,
    /// Noise levels, as in a configuration: 'levels: [80, 10, 1, 0.1, 0]' or 'edm: {num_steps: 18, ...}'; or a file that
    /// pfgmpp schedule wrote
    /// [default: as the model was scored with]
    #[arg(long, value_name = "SCHEDULE")]
    schedule: Option<String>,
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
    /// Ask the model at the noise level that a sample shows; the schedule counts as KAPPA observations beside the
    /// sample's own values: 4 is a good start for few steps, inf for the schedule alone
    #[arg(long, value_name = "KAPPA", value_parser = kappa)]
    self_timed: Option<Dimension>,
    /// Factor on the norm of what samples start from: below 1 for less varied samples [default: as the model was scored
    /// with, else 1]
    #[arg(long, value_name = "T")]
    temperature: Option<f64>,
    /// Classes of the samples, in turn, of a model that has classes: 3, 0-9 or 0,3,5; uniform or data for random ones,
    /// all alike or as in the training data [default: as the model was scored with, else uniform]
    #[arg(long = "class", value_name = "CLASSES")]
    classes: Option<Classes>,
    /// Lead samples this far from those of no class to those of theirs, or from those of --autoguidance: 1 for not at
    /// all, 2 for clearer classes
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
    /// A less trained or smaller checkpoint to lead samples away from
    #[arg(long, value_name = "REF", requires = "guidance")]
    autoguidance: Option<PathBuf>,
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

impl ModelArgs {
    /// The model that the flags name, at the D, over the levels and with the solver that they ask for.
    ///
    /// - `first_seed`: of the samples that are to be drawn, by which classes are given out in turn.
    ///
    /// # Errors
    ///
    /// A model that cannot be read, and flags that do not fit it.
    pub fn load(&self, first_seed: u64, device: &Device) -> Result<SamplingModel, Failure> {
        let model = self.load_any(first_seed, device)?;
        match model.corruption() {
            None => Ok(model),
            Some(_) => Err(Failure::bad_input(
                "--checkpoint: the model was trained on pairs and is shown an image for each sample: pfgmpp restore shows it one",
            )),
        }
    }

    /// As [`Self::load`], of a model of pairs too.
    pub fn load_any(&self, first_seed: u64, device: &Device) -> Result<SamplingModel, Failure> {
        if let Some(path) = &self.source.config {
            return self.untrained(path, device);
        }
        let path = self.source.checkpoint.as_deref().unwrap_or(Path::new(""));
        let loaded = Model::load(&resolve(path, &hub())?.path, device)?;
        let data = loaded.config.data.clone();
        let trained_at = loaded.config.d;
        let own = loaded.config.sampler.clone();
        let highest = own.schedule.sigma_max();
        let sampler = self.adjusted(own, trained_at)?;
        let asked = sampler.schedule.sigma_max();
        if asked > highest * (1.0 + 1e-9) {
            return Err(Failure::bad_input(format!(
                "--schedule: begins at sigma = {asked}, above {highest}, the highest level that the model is sampled from: \
                 begin there at most"
            )));
        }
        self.check_classes(&sampler, &data)?;
        note(opening::checkpoint(&loaded.config, &loaded.notes));
        for text in &loaded.notes {
            note(text);
        }
        let model = SamplingModel::of_checkpoint(loaded, &sampler)?.with_reference(device)?;
        let model = model.with_classes(first_seed, &data.class_counts)?;
        if let Some(classes) = model.asked_for() {
            self.say_classes(classes, data.label_dim);
        }
        if model.d() != trained_at {
            note(format_args!(
                "trained at D = {trained_at}, sampled at D = {} by its effective noise level",
                model.d()
            ));
        }
        Ok(model)
    }

    /// Whether the flags ask for classes.
    /// Refuses flags that say what samples start from or are of, where data have that already.
    ///
    /// # Errors
    ///
    /// `--class` and `--temperature`.
    pub fn refuse_those_of_samples(&self) -> Result<(), Failure> {
        let flag = match (&self.classes, &self.temperature) {
            (Some(_), _) => "--class: each item has a class of its own here",
            (None, Some(_)) => "--temperature: nothing is drawn here",
            (None, None) => return Ok(()),
        };
        Err(Failure::bad_input(format!("{flag}: leave it out")))
    }

    /// Whether a solver is asked for.
    pub fn sets_solver(&self) -> bool {
        self.solver.is_some()
    }

    /// Whether a number of steps is asked for.
    pub fn sets_steps(&self) -> bool {
        self.steps.is_some()
    }

    /// The model of a configuration that trains nothing.
    fn untrained(&self, path: &Path, device: &Device) -> Result<SamplingModel, Failure> {
        let (document, _) = Document::read::<RunConfig>(path)?;
        let mut config = RunConfig::read(&document, &[])?;
        if let (ModelConfig::Exact { d }, Some(asked)) = (&mut config.model, self.d) {
            // An exact model is as good at one D as at another.
            *d = asked;
        }
        self.refuse_classes()?;
        config.sampler = self.adjusted(config.sampler, config.model.d())?;
        config.check("the flags")?;
        fetch(&mut config, &[], &hub())?;
        let splits = pfgmpp_run::load(&config.data)?;
        note(format_args!("data: {}", splits.found));
        note(opening::run(&config, 0));
        Ok(SamplingModel::untrained(&config, &splits.train, device)?)
    }

    /// Refuses `--class` where there is nothing to choose from.
    fn refuse_classes(&self) -> Result<(), Failure> {
        match &self.classes {
            None => Ok(()),
            Some(classes) => Err(Failure::bad_input(format!(
                "--class {classes}: the model has no classes: leave it out"
            ))),
        }
    }

    /// Refuses classes that the model does not have.
    fn check_classes(&self, sampler: &SamplerConfig, data: &DataSummary) -> Result<(), Failure> {
        match (&sampler.classes, data.label_dim) {
            (_, 0) => self.refuse_classes(),
            (None, _) => Ok(()),
            (Some(classes), label_dim) => classes
                .check(label_dim, &data.class_counts)
                .map_err(|e| Failure::bad_input(format!("--class: {e}"))),
        }
    }

    /// What classes the samples are of, and how others are asked for.
    fn say_classes(&self, classes: &Classes, label_dim: usize) {
        let which = match classes {
            Classes::Uniform => {
                format!("one of {label_dim} at random, all alike, by the sample's seed")
            }
            Classes::Data => format!(
                "one of {label_dim} at random, as in the training data, by the sample's seed"
            ),
            Classes::List(list) if list.len() == 1 => format!("{classes}, of {label_dim}"),
            Classes::List(_) => format!("{classes} in turn, of {label_dim}"),
        };
        let other = match self.classes {
            None => format!(" (--class 0-{} asks for some)", label_dim - 1),
            Some(_) => String::new(),
        };
        note(format_args!("classes: {which}{other}"));
    }

    /// `sampler` of a model of dimension `d`, with what the flags change in it.
    fn adjusted(&self, mut sampler: SamplerConfig, d: Dimension) -> Result<SamplerConfig, Failure> {
        self.set_way(&mut sampler)?;
        if self.d.is_some() {
            sampler.d = self.d;
        }
        if self.classes.is_some() {
            sampler.classes.clone_from(&self.classes);
        }
        self.set_guidance(&mut sampler)?;
        if self.temperature.is_some() {
            sampler.temperature = self.temperature;
            checked(&sampler, "--temperature")?;
        }
        if let Some(kappa) = self.self_timed {
            let step = sampler
                .self_timed
                .map(|timed| timed.step)
                .unwrap_or_default();
            sampler.self_timed = Some(SelfTimed { kappa, step });
            if !kappa.is_infinite() {
                sampler.guess = None;
            }
            checked(&sampler, "--self-timed")?;
        }
        if sampler.reads_levels().is_some() {
            return Ok(sampler);
        }
        if sampler.d.is_some_and(|other| other != d)
            && (self.d.is_some() || sampler.guess.is_none())
        {
            sampler.guess = Some(self.guess.into());
        }
        Ok(sampler)
    }

    /// Sets the solver and the levels that the flags ask for; an error names the flag that brought it.
    fn set_way(&self, sampler: &mut SamplerConfig) -> Result<(), Failure> {
        if let Some(text) = &self.schedule {
            sampler.schedule = match Path::new(text).is_file() {
                true => read_schedule(Path::new(text))?,
                false if text.ends_with(".yaml") || text.ends_with(".yml") => {
                    return Err(Failure::bad_input(format!(
                        "--schedule {text}: no such file"
                    )));
                }
                false => parse_value(&tagged(text), "--schedule")?,
            };
            checked(sampler, "--schedule")?;
        }
        if let Some(steps) = self.steps {
            if let Schedule::Levels(_) = sampler.schedule {
                return Err(Failure::bad_input(format!(
                    "--steps: the levels are a list of {} steps: leave it out, or give another --schedule",
                    sampler.schedule.num_steps()
                )));
            }
            sampler.schedule = sampler.schedule.clone().with_num_steps(steps);
            checked(sampler, "--steps")?;
        }
        if let Some(text) = &self.solver {
            if let Some(example) = with_parameters(text.trim()) {
                return Err(Failure::bad_input(format!(
                    "--solver: {} has parameters: such as '{example}'",
                    text.trim()
                )));
            }
            sampler.solver = parse_value(&tagged(text), "--solver")?;
            checked(sampler, "--solver")?;
        }
        Ok(())
    }

    /// Sets the guidance that the flags ask for.
    fn set_guidance(&self, sampler: &mut SamplerConfig) -> Result<(), Failure> {
        let Some(scale) = self.guidance else {
            return Ok(());
        };
        let interval = match self.guidance_interval.as_deref() {
            None => None,
            Some(&[low, high]) => Some([low, high]),
            Some(other) => {
                return Err(Failure::bad_input(format!(
                    "--guidance-interval: must be two noise levels such as 0.2,5, got {}",
                    other.len()
                )));
            }
        };
        let reference = match &self.autoguidance {
            None => None,
            Some(path) => Some(resolve(path, &hub())?.path.display().to_string()),
        };
        let guidance = Guidance {
            scale,
            interval,
            reference,
        };
        let refused = |e| Failure::bad_input(format!("--guidance: {e}"));
        guidance.check().map_err(refused)?;
        sampler.guidance = Some(guidance);
        Ok(())
    }
}

/// The levels in a file that `pfgmpp schedule` wrote.
fn read_schedule(path: &Path) -> Result<Schedule, Failure> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        schedule: Schedule,
    }
    let text = std::fs::read_to_string(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::InvalidData => {
            Failure::bad_input(format!("--schedule {}: is not a text file", path.display()))
        }
        _ => RunError::io(path)(e).into(),
    })?;
    let file: File = parse_value(&text, &path.display().to_string())?;
    Ok(file.schedule)
}

/// How a solver is asked for that has parameters; `None` of any other text.
fn with_parameters(name: &str) -> Option<&'static str> {
    Some(match name {
        "alpha" => "alpha: {alpha: 0.5}",
        "unipc" => "unipc: {order: 2, variant: bh2}",
        "ipndm" => "ipndm: {order: 3}",
        "deis" => "deis: {order: 3}",
        "rk45" => "rk45: {rtol: 1.0e-4, atol: 1.0e-4}",
        _ => return None,
    })
}

/// Reads the value of `--self-timed`.
fn kappa(text: &str) -> Result<Dimension, String> {
    text.parse()
        .map_err(|_| "kappa must be a positive number or inf".to_string())
}

/// Blames `flag` for what is wrong with a sampler that it was the last to change.
fn checked(sampler: &SamplerConfig, flag: &str) -> Result<(), Failure> {
    let refused = |e| Failure::bad_input(format!("{flag}: {e}"));
    sampler.check().map_err(refused)
}

/// A value with parameters may leave out the braces around it: `levels: [1, 0]` as `{levels: [1, 0]}`.
pub fn tagged(text: &str) -> String {
    let text = text.trim();
    match text.contains(": ") && !text.starts_with('{') {
        true => format!("{{{text}}}"),
        false => text.to_string(),
    }
}
