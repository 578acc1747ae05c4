//! Rows that give scores a scale.

use candle_core::{Device, Tensor};
use pfgmpp_checkpoint::json_sha256;
use pfgmpp_config::ScoringConfig;
use pfgmpp_data::Splits;
use pfgmpp_kernel::{Dimension, Kernel, SampleRng, Stream};
use pfgmpp_metrics::{GaussianFit, Inputs, Metric, Need, Scores};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::error::RunError;
use crate::feature_network::{FeatureMemory, FeatureSource, extract};
use crate::free_memory::free_memory;
use crate::observer::{Observer, Phase, Progress, StopFlag};
use crate::resolved::ResolvedRun;
use crate::score::{Compared, inputs};

/// The scores of something that is not a model under test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// What was scored.
    pub name: String,
    /// The data set that it is a scale for.
    pub data: String,
    /// What its scores tell, in a sentence.
    pub meaning: String,
    /// Its scores.
    pub scores: Scores,
}

/// Sets of Gaussian samples that the reference row averages over: the scores of a single set
/// scatter by a third of themselves.
const GAUSSIAN_SETS: u64 = 8;
/// Those, the training data and noise.
const SETS: u64 = GAUSSIAN_SETS + 2;
/// Sets that a network looks at: one of each, and the held-out data.
const LOOKED_AT: u64 = 4;
/// Parts of a set, in which progress is counted.
const PARTS: u64 = 1000;

/// Raised where a reference row or a score of it becomes another.
const FORMAT: u32 = 1;

/// Tells the reference rows of `run` on `splits` from those of other data or other ways of scoring: equal ones are the same rows.
///
/// # Errors
///
/// Data that cannot be read.
pub fn reference_key(splits: &Splits, run: &ResolvedRun) -> Result<String, RunError> {
    let config = run.config();
    let scoring = serde_json::to_value(&config.scoring).expect("a configuration has string keys");
    Ok(json_sha256(&json!({
        "format": FORMAT,
        "version": env!("CARGO_PKG_VERSION"),
        "data": splits.fingerprint()?,
        "scoring": scoring,
        "sigma_max": config.sampler.schedule.sigma_max().to_bits(),
        "network": run.features().map(FeatureSource::fingerprint).transpose()?,
    })))
}

/// Scores what needs no training: the training data themselves (about the best that a model of the data
/// can reach), a Gaussian fitted to them (what a trivial model reaches), and Gaussian noise at
/// `sigma_max` (where sampling starts at D = ∞). `data` names the set. Sets of drawn samples are as large as a run's.
///
/// They are scored as `run` is. Where it looks through a network, that sees one set of each, of the training data as many as
/// there are samples.
///
/// # Errors
///
/// Failures of the tensor backend, a network that cannot be read.
pub fn references(
    splits: &Splits,
    data: &str,
    run: &ResolvedRun,
    device: &Device,
    observer: &mut dyn Observer,
) -> Result<Vec<Reference>, RunError> {
    let scoring = &run.config().scoring;
    if let (Some(network), true) = (run.features(), device.is_cpu()) {
        let takes = FeatureMemory::of(&network.open(device)?.extractor);
        let held_out = splits.held_out.num_reference_images() as u64;
        let comparing = takes.comparing(scoring.num_samples, held_out);
        network.check_memory(free_memory(), comparing)?;
    }
    let compared = Compared::of(splits)?;
    let metrics = scoring.metrics.metrics();
    let (looking, plain): (Vec<_>, Vec<_>) = metrics
        .iter()
        .partition(|metric| run.features().is_some() && metric.needs().contains(&Need::Features));
    let mut scale = Scale {
        compared: &compared,
        scoring,
        splits,
        network: run.features(),
        looking,
        plain,
        device,
        done: 0,
        total: SETS + run.features().map_or(0, |_| LOOKED_AT),
        has_seen_held_out: false,
        observer,
    };
    let count = scoring.num_samples as usize;
    let fit = GaussianFit::fit(&compared.train)?;
    let seed = |set| scoring.seed.wrapping_mul(GAUSSIAN_SETS).wrapping_add(set);
    let gaussian = (0..GAUSSIAN_SETS)
        .map(|set| scale.compare(&fit.sample(count, seed(set))?))
        .collect::<Result<Vec<_>, _>>()?;
    let seen = scale.look(&fit.sample(count, seed(0))?)?;
    let gaussian = in_order(scoring, &Scores::mean(&gaussian), &seen);
    let prior = {
        let kernel = Kernel::new(splits.train.n(), Dimension::Infinite)?;
        let mut rngs = SampleRng::batch(scoring.seed, Stream::Metric, 0, count);
        let shape = splits.train.image_shape();
        let sigma_max = run.config().sampler.schedule.sigma_max();
        let dtype = compared.held_out.dtype();
        kernel.prior(&shape, sigma_max, &mut rngs, dtype, &Device::Cpu)?
    };
    let prior = in_order(scoring, &scale.compare(&prior)?, &scale.look(&prior)?);
    let train = &compared.train;
    let seen = scale.look(&some_of(train, count)?)?;
    let train = in_order(scoring, &scale.compare(train)?, &seen);
    let reference = |name: &str, meaning: &str, scores| Reference {
        name: name.to_string(),
        data: data.to_string(),
        meaning: meaning.to_string(),
        scores,
    };
    Ok(vec![
        reference(
            "training data",
            "The training images themselves: about the best that a model of the data can reach.",
            train,
        ),
        reference(
            "fitted Gaussian",
            "Samples of a Gaussian with the training data's mean and covariance: \
             what a trivial model reaches.",
            gaussian,
        ),
        reference(
            "prior noise",
            "Gaussian noise of scale sigma_max, where sampling starts at D = inf.",
            prior,
        ),
    ])
}

/// What sets of samples are measured by.
struct Scale<'a> {
    compared: &'a Compared,
    scoring: &'a ScoringConfig,
    splits: &'a Splits,
    network: Option<&'a FeatureSource>,
    /// Scores by what the network sees, and all others.
    looking: Vec<&'a dyn Metric>,
    plain: Vec<&'a dyn Metric>,
    device: &'a Device,
    /// Sets that were scored or looked at by now, of so many.
    done: u64,
    total: u64,
    has_seen_held_out: bool,
    observer: &'a mut dyn Observer,
}

impl Scale<'_> {
    /// What the next set tells how far it is.
    fn begun(&mut self) -> PartOfAll<'_> {
        PartOfAll {
            before: self.done,
            total: self.total,
            observer: self.observer,
        }
    }

    /// The scores of `samples` that ask no network.
    fn compare(&mut self, samples: &Tensor) -> Result<Scores, RunError> {
        self.begun().progress(&Progress {
            phase: Phase::Scoring,
            done: 0,
            total: 1,
            loss: None,
            seconds_left: None,
        });
        let inputs = inputs(samples, self.compared, self.scoring);
        let scores = Scores::measure(&self.plain, &inputs)?;
        self.done += 1;
        Ok(scores)
    }

    /// The scores of `samples` by what the network sees in them, if there is one.
    fn look(&mut self, samples: &Tensor) -> Result<Scores, RunError> {
        let Some(network) = self.network else {
            return Ok(Scores::default());
        };
        let (stop, device, compared) = (StopFlag::default(), self.device, self.compared);
        let data = (network, self.splits);
        let held_out = compared.held_out_features(data, device, &stop, &mut self.begun())?;
        if !self.has_seen_held_out {
            self.has_seen_held_out = true;
            self.done += 1;
        }
        let extractor = &network.open(device)?.extractor;
        let own = extract(extractor, samples, &stop, &mut self.begun())?;
        self.done += 1;
        let inputs = Inputs {
            features: Some([&own, &held_out]),
            ..inputs(samples, self.compared, self.scoring)
        };
        Ok(Scores::measure(&self.looking, &inputs)?)
    }
}

/// A set that is being scored, as a part of all.
struct PartOfAll<'a> {
    before: u64,
    total: u64,
    observer: &'a mut dyn Observer,
}

impl Observer for PartOfAll<'_> {
    fn progress(&mut self, progress: &Progress) {
        let part = PARTS * progress.done / progress.total.max(1);
        self.observer.progress(&Progress {
            done: PARTS * self.before + part,
            total: PARTS * self.total,
            seconds_left: None,
            ..*progress
        });
    }

    fn note(&mut self, note: &str) {
        self.observer.note(note);
    }
}

/// Both parts of the scores in the order of the configuration.
fn in_order(scoring: &ScoringConfig, plain: &Scores, seen: &Scores) -> Scores {
    let names = scoring.metrics.descriptions().map(|metric| metric.name);
    let mut all = Scores::default();
    for name in names {
        let mut found = plain.iter().chain(seen.iter());
        if let Some(score) = found.find(|score| score.name == name) {
            all.push(name, score.estimate);
        }
    }
    all
}

/// Up to `num` rows, evenly spread: sets are often sorted by class.
fn some_of(rows: &Tensor, num: usize) -> candle_core::Result<Tensor> {
    let there = rows.dims()[0];
    if there <= num {
        return Ok(rows.clone());
    }
    let indices: Vec<u32> = (0..num).map(|i| (i * there / num) as u32).collect();
    rows.index_select(&Tensor::new(indices, rows.device())?, 0)
}
