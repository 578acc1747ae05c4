//! The flags that name a model and say how it is sampled.

use std::path::{Path, PathBuf};

use candle_core::Device;
use pfgmpp_checkpoint::{Model, resolve};
use pfgmpp_config::yaml::parse_value;
use pfgmpp_config::{Document, ModelConfig, RunConfig};
use pfgmpp_kernel::Dimension;
use pfgmpp_run::{Lookup, ResolvedRun, RunError, SamplingModel};
use pfgmpp_sampler::{Guidance, SamplerConfig, SelfTimed, SolverConfig};
use pfgmpp_train::Shown;
use pfgmpp_transfer::{Guess, Schedule};
use serde::Deserialize;

use crate::download::hub;
use crate::drawn_args::DrawnArgs;
use crate::failure::Failure;
use crate::guidance_args::GuidanceArgs;
use crate::opening;
use crate::terminal::note;

/// A model and its sampler, for every command that takes one.
#[derive(clap::Args)]
#[command(next_help_heading = "Model and sampler")]
pub struct ModelArgs {
    #[command(flatten)]
    source: Source,
    /// Solver: euler, heun, dpmpp2m, ..., one with parameters as 'unipc: {order: 3, variant: bh2}'
    /// [default: as the model was scored with]
    #[arg(long, value_name = "SOLVER")]
    solver: Option<String>,
    /// Noise levels, as in a configuration: 'levels: [80, 10, 1, 0.1, 0]' or 'edm: {num_steps: 18, ...}'; or a file that
    /// pfgmpp schedule wrote, which also sets the solver that its levels were found for
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
    /// Where the effective noise at another D takes its guess of the data from
    /// [default: previous, in likelihood data-mean]
    #[arg(long, value_enum)]
    guess: Option<GuessArg>,
    /// Self-timed sampling: ask the model at the noise level measured in the sample, where the schedule counts as KAPPA
    /// observations beside the sample's N values: 4 is a good start for few steps, inf is the schedule alone
    /// [default: as the model was scored with, else inf]
    #[arg(long, value_name = "KAPPA", value_parser = kappa)]
    self_timed: Option<Dimension>,
    #[command(flatten)]
    guidance: GuidanceArgs,
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

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
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
    /// - `drawn`: the flags of what is drawn, if anything is.
    /// - `first_seed`: of the samples that are to be drawn, by which classes are given out in turn.
    ///
    /// # Errors
    ///
    /// A model that cannot be read, and flags that do not fit it.
    pub fn load(
        &self,
        drawn: Option<&DrawnArgs>,
        first_seed: u64,
        device: &Device,
    ) -> Result<SamplingModel, Failure> {
        let model = self.load_any(drawn, first_seed, device)?;
        match model.shown() {
            None => Ok(model),
            Some(Shown::Paired) => Err(Failure::bad_input(
                "--checkpoint: the model was trained on pairs and is shown an image for each sample: pfgmpp sample --input shows it images",
            )),
            Some(Shown::Corrupted(_)) => Err(Failure::bad_input(
                "--checkpoint: the model was trained on pairs and is shown an image for each sample: pfgmpp restore shows it one",
            )),
        }
    }

    /// As [`Self::load`], of a model of pairs too.
    pub fn load_any(
        &self,
        drawn: Option<&DrawnArgs>,
        first_seed: u64,
        device: &Device,
    ) -> Result<SamplingModel, Failure> {
        let none = DrawnArgs::default();
        let (drawn, draws) = (drawn.unwrap_or(&none), drawn.is_some());
        if let Some(path) = &self.source.config {
            return self.untrained(path, drawn, device);
        }
        let path = self.source.checkpoint.as_deref().unwrap_or(Path::new(""));
        let loaded = Model::load(&resolve(path, &hub())?.path, device)?;
        let own = loaded.config.sampler.clone();
        let asked = self.d.or(own.d).unwrap_or(loaded.config.d);
        let loaded = loaded.at(asked)?;
        let data = loaded.config.data.clone();
        let trained_at = loaded.config.d;
        let highest = own.schedule.sigma_max();
        let sampler = self.adjusted(own, drawn, trained_at)?;
        let asked = sampler.schedule.sigma_max();
        if asked > highest * (1.0 + 1e-9) {
            return Err(Failure::bad_input(format!(
                "--schedule: begins at sigma = {asked}, above {highest}, the highest level that the model is sampled from: \
                 begin there at most"
            )));
        }
        drawn.check_classes(&sampler, &data)?;
        note(opening::checkpoint(&loaded.config, &loaded.notes));
        for text in &loaded.notes {
            note(text);
        }
        let model = SamplingModel::of_checkpoint(loaded, &sampler)?.with_reference(device)?;
        let model = model.with_classes(first_seed, &data.class_counts)?;
        if let (Some(classes), true) = (model.asked_for(), draws) {
            drawn.say_classes(classes, data.label_dim);
        }
        if model.d() != trained_at {
            note(format_args!(
                "trained at D = {trained_at}, sampled at D = {} by its effective noise level",
                model.d()
            ));
        }
        Ok(model)
    }

    /// Whether the guess of the data is asked for to be the solver's last estimate.
    pub fn guesses_previous(&self) -> bool {
        self.guess == Some(GuessArg::Previous)
    }

    /// Whether a solver is asked for.
    pub fn sets_solver(&self) -> bool {
        self.solver.is_some()
    }

    /// Whether levels are asked for.
    pub fn sets_schedule(&self) -> bool {
        self.schedule.is_some()
    }

    /// Whether a number of steps is asked for.
    pub fn sets_steps(&self) -> bool {
        self.steps.is_some()
    }

    /// The model of a configuration that trains nothing.
    fn untrained(
        &self,
        path: &Path,
        drawn: &DrawnArgs,
        device: &Device,
    ) -> Result<SamplingModel, Failure> {
        let (document, _) = Document::read::<RunConfig>(path)?;
        let mut config = RunConfig::read(&document, &[])?;
        if let (ModelConfig::Exact { d }, Some(asked)) = (&mut config.model, self.d) {
            // An exact model is as good at one D as at another.
            *d = asked;
        }
        if let ModelConfig::Exact { .. } = &config.model {
            drawn.refuse_classes()?;
        }
        let d = config.model.d().unwrap_or_else(|| config.d());
        config.sampler = self.adjusted(config.sampler, drawn, d)?;
        config.check("the flags")?;
        let resolved = ResolvedRun::resolve(config, None, &Lookup::new(&hub(), &[]))?;
        let config = resolved.config();
        let splits = pfgmpp_run::load(&config.data)?;
        note(format_args!("data: {}", splits.found));
        note(opening::run(config, 0));
        Ok(SamplingModel::untrained(&resolved, &splits.train, device)?)
    }

    /// `sampler` of a model of dimension `d`, with what the flags change in it.
    fn adjusted(
        &self,
        mut sampler: SamplerConfig,
        drawn: &DrawnArgs,
        d: Dimension,
    ) -> Result<SamplerConfig, Failure> {
        self.set_way(&mut sampler)?;
        if self.d.is_some() {
            sampler.d = self.d;
            checked(&sampler, "--d")?;
        }
        drawn.set(&mut sampler)?;
        if let Some(guidance) = self.guidance.read()? {
            sampler.guidance = Some(guidance);
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
        self.set_guess(&mut sampler, d)?;
        Ok(sampler)
    }

    /// Sets the guess of the data that an effective noise level needs, and refuses one where there is none.
    fn set_guess(&self, sampler: &mut SamplerConfig, d: Dimension) -> Result<(), Failure> {
        let other = |guidance: &Guidance| guidance.reference.is_some();
        // What samples are led away from may be of another D than they are.
        let lifted = sampler.d.is_some_and(|other| other != d)
            || sampler.guidance.as_ref().is_some_and(other);
        let without = match sampler.reads_levels() {
            Some(_) => Some("self-timed sampling takes the solver's last estimate".to_string()),
            None if !lifted => Some(format!(
                "the model is sampled at the D that it is of, {d}, without an effective noise level"
            )),
            None => None,
        };
        match (without, self.guess) {
            (Some(why), Some(_)) => {
                Err(Failure::bad_input(format!("--guess: {why}: leave it out")))
            }
            (Some(_), None) => Ok(()),
            (None, None) if sampler.guess.is_some() => Ok(()),
            (None, guess) => {
                sampler.guess = Some(guess.unwrap_or(GuessArg::Previous).into());
                Ok(())
            }
        }
    }

    /// Sets the solver and the levels that the flags ask for; an error names the flag that brought it.
    fn set_way(&self, sampler: &mut SamplerConfig) -> Result<(), Failure> {
        if let Some(text) = &self.schedule {
            sampler.schedule = match Path::new(text).is_file() {
                true => {
                    let file = read_schedule(Path::new(text))?;
                    if let (Some(solver), None) = (file.solver, &self.solver) {
                        sampler.solver = solver;
                    }
                    file.schedule
                }
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
}

/// What `pfgmpp schedule` writes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScheduleFile {
    /// The solver that the levels were found for.
    #[serde(default)]
    solver: Option<SolverConfig>,
    schedule: Schedule,
}

/// The levels in a file that `pfgmpp schedule` wrote, and their solver.
fn read_schedule(path: &Path) -> Result<ScheduleFile, Failure> {
    let text = std::fs::read_to_string(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::InvalidData => {
            Failure::bad_input(format!("--schedule {}: is not a text file", path.display()))
        }
        _ => RunError::io(path)(e).into(),
    })?;
    Ok(parse_value(&text, &path.display().to_string())?)
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
pub(crate) fn checked(sampler: &SamplerConfig, flag: &str) -> Result<(), Failure> {
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
