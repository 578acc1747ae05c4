//! What is checked before any run begins and any file is written.

use std::path::{Path, PathBuf};

use candle_core::Device;
use pfgmpp_checkpoint::beyond_trained;
use pfgmpp_config::{ConfigError, ModelConfig, RunConfig, Variant};
use pfgmpp_data::{DataError, Dataset, Splits};
use pfgmpp_train::{TrainError, Trainer, TrainerConfig};

use crate::ending::check_ending;
use crate::error::RunError;
use crate::feature_network::{FeatureMemory, FeatureSource};
use crate::free_memory::free_memory;
use crate::held_out::has_classes_of;
use crate::memory::{Footprint, looking};
use crate::moments::moments_of;
use crate::resolved::{ResolvedRun, Weights};
use crate::run_memory::{Ranks, RunMemory};
use crate::sampling_model::SamplingModel;
use crate::starting::start;

/// Copies of the weights that a run keeps: state (weights, two moments, average), checkpoint, and
/// the state that is written beside the old one.
const COPIES: u64 = 4 + 1 + 4;
/// Those of the best ones, beside which better ones are written.
const OF_THE_BEST: u64 = 2;
/// Bytes of logs, events, configuration and grids a run.
const SMALL_FILES: u64 = 2 << 20;

/// A run that is to begin: its folder, what it is and its data.
type Candidate<'a> = (PathBuf, &'a ResolvedRun, &'a Splits);

/// What a check of runs that are to begin has found.
#[derive(Clone, Debug, Default)]
pub struct Preflight {
    /// What was assumed of models and of how they are sampled, a sentence each.
    pub notes: Vec<String>,
    /// What is expected of each run.
    pub runs: Vec<Expected>,
    /// Bytes of files that runs which are not finished leave behind or write beside older ones.
    pub disk: u64,
    /// Bytes of memory that the process keeps for all its runs: networks that scores look through, and what they see in data.
    pub kept: u64,
    /// Bytes of memory that were free, where that is known.
    pub free: Option<u64>,
}

/// What is expected of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Bytes of memory at its peak beside those that all runs share, 0 of one that is finished or of which it is not known.
    pub memory: u64,
    /// Values that it trains itself.
    pub params: u64,
    /// Evaluations of the model for each of its samples, where their number is known before.
    pub evaluations: Option<usize>,
}

/// Checks that every run's model can be made for its data, that it fits the memory, that its end can be reached and
/// that its results fit the disk.
///
/// - `runs`: folder, run and data of each.
/// - `out`: the folder that holds them all; it need not exist.
///
/// - `device`: where they are to run; only the memory of the CPU is known.
/// - `ranks`: the processes that train each of them together.
///
/// # Errors
///
/// A network that cannot be built, a checkpoint that cannot be read, or too little memory or space for
/// the runs that are not finished.
pub fn preflight<'a>(
    runs: impl Iterator<Item = (PathBuf, &'a ResolvedRun, &'a Splits)>,
    out: &Path,
    (device, ranks): (&Device, Ranks),
) -> Result<Preflight, RunError> {
    let runs: Vec<Candidate<'a>> = runs.collect();
    let mut built: Vec<(&ResolvedRun, Built)> = Vec::new();
    // Before networks are looked at: the allocator keeps what they took.
    let free = free_memory();
    let mut preflight = Preflight {
        free,
        ..Preflight::default()
    };
    let mut needed = 0;
    let mut networks: Vec<(&FeatureSource, FeatureMemory)> = Vec::new();
    let mut looked_at: Vec<(&FeatureSource, &Splits)> = Vec::new();
    for run in &runs {
        let (folder, resolved, splits) = run;
        let config = resolved.config();
        check_ending(config, splits)?;
        let provider = provider(run, &runs);
        let finished = folder.join("metrics.json").exists();
        let (_, trained, data) = provider.unwrap_or(run);
        let (mut memory, mut parameters) = (0, 0);
        if !finished {
            provider.map_or(Ok(()), check_finished)?;
            if let Some(network) = resolved.features()
                && !networks.iter().any(|(other, _)| *other == network)
            {
                if device.is_cpu() {
                    preflight.kept = preflight.kept.saturating_add(network.shared_memory());
                    network.check_memory(free, preflight.kept)?;
                }
                let (notes, memory) = network.check()?;
                preflight.notes.extend(notes);
                networks.push((network, memory));
            }
            // Before anything is built.
            if let (Some(model), true) = (trained.config().trained(), device.is_cpu()) {
                let trains = provider.is_none();
                (memory, parameters) = check_network(run, (model, ranks), &data.train, trains)?;
            }
        }
        let found = built.iter().position(|(other, _)| alike(other, resolved));
        let found = match found {
            Some(found) => found,
            None => {
                let (model, about) = build(run, provider)?;
                let notes = &mut preflight.notes;
                let new = about.into_iter().filter(|note| !notes.contains(note));
                let new: Vec<String> = new.collect();
                notes.extend(new);
                built.push((resolved, model));
                built.len() - 1
            }
        };
        let model = &built[found].1;
        if !finished {
            let snapshots = config.trained().map_or(0, TrainerConfig::num_snapshots);
            let post_hoc = config
                .trained()
                .and_then(|model| model.post_hoc_ema.as_ref());
            for (sigma_rel, off) in post_hoc.map_or(Vec::new(), |p| p.missed(config.nimg())) {
                let note = format!(
                    "post_hoc_ema.choose: the snapshots will miss the average of {sigma_rel} by {:.0} %, so it is no choice: more \
                     snapshots, or lengths nearer to sigma_rel, would come nearer",
                    100.0 * off
                );
                if !preflight.notes.contains(&note) {
                    preflight.notes.push(note);
                }
            }
            let scored = config
                .trained()
                .and_then(|model| model.training.score_every);
            let copies = COPIES.saturating_add(snapshots);
            let copies = copies.saturating_add(scored.map_or(0, |_| OF_THE_BEST));
            needed += copies.saturating_mul(model.params * 4) + SMALL_FILES;
            if let (Some(untrained), true) = (&model.untrained, device.is_cpu()) {
                memory = check_untrained(untrained, splits.train.n() as u64, config)?;
                parameters = untrained.parameters();
            }
            let network = networks
                .iter()
                .find(|(other, _)| Some(*other) == resolved.features());
            if let (Some((network, takes)), true) = (network, device.is_cpu()) {
                let held_out = splits.held_out.num_reference_images() as u64;
                let (n, num) = (splits.train.n() as u64, config.scoring.num_samples);
                let is_same = |(other, data): &(&FeatureSource, &Splits)| {
                    other == network && std::ptr::eq(*data, *splits)
                };
                if !looked_at.iter().any(is_same) {
                    looked_at.push((network, splits));
                    preflight.kept = preflight.kept.saturating_add(takes.features(held_out));
                }
                memory = memory.max(looking(parameters, n, num, takes.comparing(num, held_out)));
                network.check_memory(free, preflight.kept.saturating_add(memory))?;
            }
        }
        preflight.runs.push(Expected {
            memory,
            params: model.params,
            evaluations: model.evaluations,
        });
    }
    preflight.disk = needed;
    let place = out.ancestors().find(|path| path.is_dir());
    let place = place.unwrap_or(Path::new("."));
    match fs4::available_space(place) {
        Ok(space) if space < needed => Err(RunError::Space {
            path: out.to_path_buf(),
            needed_mib: needed.div_ceil(1 << 20),
            free_mib: space >> 20,
        }),
        // A file system that does not say is found out when it is written to.
        _ => Ok(preflight),
    }
}

/// What is kept of a model that was made.
struct Built {
    /// Values that the run itself trains.
    params: u64,
    /// What one takes that is not trained here.
    untrained: Option<Footprint>,
    /// Evaluations for each sample.
    evaluations: Option<usize>,
}

/// Checks that the training of `model`, if the run trains it, and the run's samples fit the memory; gives the
/// larger of both, and the values of the network.
fn check_network(
    (folder, run, _): &Candidate<'_>,
    (model, ranks): (&TrainerConfig, Ranks),
    data: &Dataset,
    trains: bool,
) -> Result<(u64, u64), RunError> {
    let memory = RunMemory::of(model, data).map_err(|e| match e {
        RunError::Train(e) => refuse_network(&e, folder),
        other => other,
    })?;
    let memory = memory.by(ranks);
    let training = match trains {
        true => memory.check_training("training.batch_size")?,
        false => 0,
    };
    let (key, batch, num) = samples_of(run.config());
    let sampling = memory.check_sampling(key, batch, num)?;
    Ok((training.max(sampling), memory.parameters()))
}

/// Checks that the samples of `config`, of `n` values each, fit the memory; gives what they take.
fn check_untrained(footprint: &Footprint, n: u64, config: &RunConfig) -> Result<u64, RunError> {
    let (key, batch, num) = samples_of(config);
    footprint.check_sampling(n, key, batch, num)
}

/// How many samples are drawn at a time, under its key, and in all.
fn samples_of(config: &RunConfig) -> (&'static str, u64, u64) {
    let scoring = &config.scoring;
    (
        "scoring.batch_size",
        scoring.batch_size,
        scoring.num_samples,
    )
}

/// The error of a network that cannot be made, under the key that it is about.
fn refuse_network(error: &TrainError, folder: &Path) -> RunError {
    let key = match error {
        TrainError::NoClasses(_) | TrainError::Data(DataError::Labels { .. }) => "condition",
        TrainError::NoImages(_) => "augment",
        TrainError::Parameter(e) if e.name.starts_with("condition") => "condition",
        _ => "network",
    };
    ConfigError::new(key, format!("{error} (run {})", folder.display())).into()
}

/// Whether one of the two can be made if the other can.
fn alike(a: &ResolvedRun, b: &ResolvedRun) -> bool {
    if a.weights() != b.weights() {
        return false;
    }
    let (a, b) = (a.config(), b.config());
    let same_model = match (&a.model, &b.model) {
        (ModelConfig::Network(a), ModelConfig::Network(b)) => {
            a.network == b.network
                && a.prediction() == b.prediction()
                && a.condition == b.condition
                && a.augment == b.augment
        }
        (a, b) => a == b,
    };
    // Sampling at another D asks for more than the network.
    let elsewhere = a.sampler.d.is_some();
    let same_sampling = a.sampler.d == b.sampler.d
        && a.sampler.classes == b.sampler.classes
        && (!elsewhere || (a.model.d() == b.model.d() && a.sampler.guess == b.sampler.guess));
    same_model && a.data == b.data && same_sampling
}

/// The run among `runs` whose checkpoint `run` samples, if it names one.
fn provider<'r, 'a>(run: &Candidate<'a>, runs: &'r [Candidate<'a>]) -> Option<&'r Candidate<'a>> {
    let Weights::OfRun(folder) = run.1.weights() else {
        return None;
    };
    runs.iter().find(|(other, _, _)| other == folder)
}

/// Refuses a run that has ended without leaving its checkpoint: it would not be trained again.
fn check_finished((folder, _, _): &Candidate<'_>) -> Result<(), RunError> {
    let weights = folder.join("checkpoint").join("model.safetensors");
    if !folder.join("metrics.json").exists() || weights.exists() {
        return Ok(());
    }
    Err(RunError::State {
        path: folder.join("metrics.json"),
        message: "the run's checkpoint, which another run samples, is gone".into(),
    })
}

/// Makes the model once, that of `provider` as long as its checkpoint is still to be trained; returns
/// what is kept of it, and what there is to say of the model.
fn build(
    run: &Candidate<'_>,
    provider: Option<&Candidate<'_>>,
) -> Result<(Built, Vec<String>), RunError> {
    let device = Device::Cpu;
    let (folder, resolved, splits) = run;
    let config = resolved.config();
    let (_, trained, data) = provider.unwrap_or(run);
    let Some(model) = trained.config().trained() else {
        let model = SamplingModel::untrained(resolved, &splits.train, &device)?;
        let mut about = notes(&model, splits);
        for variant in elsewhere(config)? {
            let other = resolved.under(&variant, &folder.join("checkpoint"));
            let other = SamplingModel::untrained(&other, &splits.train, &device)
                .map_err(|e| refuse_variant(&variant, &e))?;
            let new = other.notes().iter().filter(|note| !about.contains(note));
            about.extend(new.cloned().collect::<Vec<_>>());
        }
        let built = Built {
            params: 0,
            untrained: model.footprint().cloned(),
            evaluations: model.evaluations(),
        };
        return Ok((built, about));
    };
    let mut trainer = Trainer::new(model, trained.config().seed, &data.train, &device)
        .map_err(|e| refuse_network(&e, folder))?;
    let mut about = start(&mut trainer, model, trained.weights())?;
    let shape = data.train.image_shape();
    if shape != splits.train.image_shape() {
        let want = splits.train.image_shape();
        let message = format!("checkpoint of images of shape {shape:?}, the data have {want:?}");
        return Err(ConfigError::new(format!("{}: model", folder.display()), message).into());
    }
    let d = model.d_at(config.d());
    let denoiser = trainer.averaged_model_at(d)?;
    let moments = || moments_of(&data.train);
    let sampled = SamplingModel::new(denoiser, d, shape, moments, &config.sampler)?
        .with_pairs(model.shown(), &splits.held_out, config.first_seed())
        .with_reference(&device)?
        .with_classes(config.first_seed(), &splits.train.class_counts())?;
    sampled.check_start()?;
    let mut say_beyond = |d| {
        let note = beyond_trained(model.training.d_list(), d);
        let new = note.filter(|note| !about.contains(note));
        about.extend(new);
    };
    say_beyond(config.d());
    for variant in config.variants("config.yaml")? {
        let d = model.d_at(variant.config.d());
        say_beyond(d);
        let (denoiser, sampler) = (trainer.averaged_model_at(d)?, &variant.config.sampler);
        SamplingModel::new(denoiser, d, shape, moments, sampler)
            .map_err(|e| refuse_variant(&variant, &e))?;
    }
    let params = match provider {
        None => trainer.num_parameters() as u64,
        Some(_) => 0,
    };
    let built = Built {
        params,
        untrained: None,
        evaluations: sampled.evaluations(),
    };
    about.extend(notes(&sampled, splits));
    Ok((built, about))
}

/// The evaluations of `config` that sample at another D than the run itself, the first for each: all others are made of what the
/// run's own samples are.
fn elsewhere(config: &RunConfig) -> Result<Vec<Variant>, RunError> {
    let mut found: Vec<Variant> = Vec::new();
    for variant in config.variants("config.yaml")? {
        let at = |sampled: &RunConfig| (sampled.d(), sampled.sampler.guess);
        let is_new = found
            .iter()
            .all(|other| at(&other.config) != at(&variant.config));
        if is_new && at(&variant.config) != at(config) {
            found.push(variant);
        }
    }
    Ok(found)
}

/// The error of an evaluation that cannot be made.
fn refuse_variant(variant: &Variant, error: &RunError) -> RunError {
    ConfigError::new(format!("evaluations: {}", variant.name()), error).into()
}

/// What there is to say of sampling `model` and of scoring it on `splits`.
fn notes(model: &SamplingModel, splits: &Splits) -> Vec<String> {
    let mut notes = model.notes().to_vec();
    if model.label_dim() > 0 && !has_classes_of(&splits.held_out, model) {
        notes.push(format!(
            "the model has {} classes and the data have {}: its error on held-out data is taken under classes drawn as for samples",
            model.label_dim(),
            splits.held_out.num_classes()
        ));
    }
    notes
}
