//! A run whose names have all been found.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use pfgmpp_checkpoint::{Resolved, recorded_sha256, resolve, weights_sha256};
use pfgmpp_config::{
    CheckpointSource, ConfigError, Document, FeaturesConfig, ModelConfig, RunConfig, Variant,
};
use pfgmpp_data::{DataSource, Statistics};
use pfgmpp_hub::{Hub, Reference};

use crate::cache::Cache;
use crate::error::RunError;
use crate::feature_network::{FeatureSource, feature_weights};
use crate::folder::RunFolder;
use crate::starting::with_network_of;

/// Checkpoints whose checksums a process keeps.
const CHECKPOINTS: usize = 64;

/// A configuration after everything that it names was found: its data are here, and so are the weights that it samples
/// or starts from, unless another run of this machine is still to train them. Nothing is looked up after this.
///
/// There is one way to make it, [`Self::resolve`], and it does not change.
#[derive(Clone, Debug, PartialEq)]
pub struct ResolvedRun {
    config: RunConfig,
    weights: Weights,
    features: Option<FeatureSource>,
}

/// Where the weights lie that a run samples or starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Weights {
    /// Nowhere: an exact posterior has none, and training starts from random ones.
    None,
    /// In the checkpoint at this path.
    At(PathBuf),
    /// In the checkpoint that the run in this folder leaves.
    OfRun(PathBuf),
}

impl Weights {
    /// The checkpoint, or the run folder that holds it.
    pub fn place(&self) -> Option<&Path> {
        match self {
            Self::None => None,
            Self::At(path) | Self::OfRun(path) => Some(path),
        }
    }
}

/// Where checkpoints are looked for, each of them once, so that all runs that name it mean the same bytes.
pub struct Lookup<'a> {
    hub: &'a Hub,
    begun: &'a [PathBuf],
    found: RefCell<HashMap<String, Resolved>>,
    measured: RefCell<Vec<(DataSource, f64)>>,
}

impl<'a> Lookup<'a> {
    /// On this machine and on `hub`.
    ///
    /// - `begun`: folders of the runs that are compared; if one of them has begun already, all go on with the commit that it
    ///   began with, unless the configuration names a revision.
    pub fn new(hub: &'a Hub, begun: &'a [PathBuf]) -> Self {
        Self {
            hub,
            begun,
            found: RefCell::default(),
            measured: RefCell::default(),
        }
    }

    fn find(&self, named: &str) -> Result<Resolved, RunError> {
        if let Some(found) = self.found.borrow().get(named) {
            return Ok(found.clone());
        }
        let mut folders = self.begun.iter();
        let begun = folders.find_map(|folder| begun_with(folder, named));
        let found = resolve(begun.as_deref().unwrap_or(named).as_ref(), self.hub)?;
        let mut all = self.found.borrow_mut();
        all.insert(named.to_string(), found.clone());
        Ok(found)
    }

    /// The network that scores look through, its weights named by a commit from here on.
    fn features(&self, config: &mut FeaturesConfig) -> Result<FeatureSource, RunError> {
        let Some(weights) = config.weights() else {
            return Ok(FeatureSource::new(config, None));
        };
        let refused = |message| ConfigError::new("scoring.features", format!("weights: {message}"));
        let Resolved { path, reference } =
            self.find(&feature_weights(weights).map_err(refused)?)?;
        config.set_weights(reference);
        Ok(FeatureSource::new(config, Some(path)))
    }

    /// The standard deviation of the training data of `source`, in four digits: what `sigma_data: measured` asks for.
    fn sigma_data(&self, source: &DataSource) -> Result<f64, RunError> {
        let known = self.measured.borrow();
        if let Some((_, sigma_data)) = known.iter().find(|(other, _)| other == source) {
            return Ok(*sigma_data);
        }
        drop(known);
        let train = source.load_from(self.hub)?.train;
        let text = format!("{:.3e}", Statistics::measure(&train)?.std);
        let sigma_data = text.parse().expect("a number that was written");
        if sigma_data == 0.0 {
            let message = "measured: all values of the data are the same: give a number";
            return Err(ConfigError::new("preconditioning.edm.sigma_data", message).into());
        }
        self.measured
            .borrow_mut()
            .push((source.clone(), sigma_data));
        Ok(sigma_data)
    }
}

impl ResolvedRun {
    /// Brings the data and the checkpoint that `config` names here if they are of the Hub, and puts the commit in place
    /// of a revision that may move and the network of the checkpoint that training starts from in place of none: what
    /// is written to `config.yaml` names the same bytes forever.
    ///
    /// - `folder`: where the run lies, beside the run that it may name as its checkpoint; `None` for a configuration
    ///   that is only sampled or timed.
    ///
    /// # Errors
    ///
    /// What the Hub has not or does not give, a checkpoint that training is to start from and that cannot be read, the
    /// name of a run without a `folder`.
    pub fn resolve(
        config: RunConfig,
        folder: Option<&Path>,
        lookup: &Lookup,
    ) -> Result<Self, RunError> {
        config.data.fetch(lookup.hub)?;
        let mut config = config;
        if let ModelConfig::Network(model) = &mut config.model
            && model.measures_sigma_data()
        {
            let sigma_data = lookup.sigma_data(&config.data)?;
            **model = model.as_ref().clone().with_sigma_data(sigma_data);
        }
        let weights = match &mut config.model {
            ModelConfig::Exact { .. } => Weights::None,
            ModelConfig::Network(model) => match &model.training.start_from {
                None => Weights::None,
                Some(named) => {
                    let Resolved { path, reference } = lookup.find(named)?;
                    **model = with_network_of(&path, &reference, model)?;
                    Weights::At(path)
                }
            },
            ModelConfig::Checkpoint { source } => match source {
                CheckpointSource::Reference(named) => {
                    let Resolved { path, reference } = lookup.find(named)?;
                    *named = reference;
                    Weights::At(path)
                }
                CheckpointSource::Run(name) => Weights::OfRun(beside(folder, name)?),
            },
        };
        let features = match &mut config.scoring.features {
            None => None,
            Some(features) => Some(lookup.features(features)?),
        };
        Ok(Self {
            config,
            weights,
            features,
        })
    }

    /// The configuration, as `config.yaml` holds it.
    pub fn config(&self) -> &RunConfig {
        &self.config
    }

    /// Where the weights lie that it samples or starts from.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// Tells the checkpoint that the run samples from others, by the checksum of its weights; `None` of a run that trains or has none.
    ///
    /// # Errors
    ///
    /// Weights that cannot be read.
    pub fn weights_fingerprint(&self) -> Result<Option<String>, RunError> {
        let place = match (&self.config.model, &self.weights) {
            (ModelConfig::Checkpoint { .. }, Weights::At(path)) => path.clone(),
            (ModelConfig::Checkpoint { .. }, Weights::OfRun(folder)) => {
                RunFolder::checkpoint_in(folder)
            }
            _ => return Ok(None),
        };
        if let Some(recorded) = recorded_sha256(&place) {
            return Ok(Some(recorded));
        }
        // Those of other programs are large: they are summed once.
        static SUMS: Cache<(PathBuf, u64, Option<SystemTime>), String> = Cache::of(CHECKPOINTS);
        let there = std::fs::metadata(&place).map_err(RunError::io(&place))?;
        let key = (place.clone(), there.len(), there.modified().ok());
        let sum = SUMS.get_or_make(key, || Ok(weights_sha256(&place)?))?;
        Ok(Some(sum.to_string()))
    }

    /// The network that scores look through, if they do.
    pub fn features(&self) -> Option<&FeatureSource> {
        self.features.as_ref()
    }

    /// The same model under the settings of one of its evaluations; `trained` is the checkpoint of a run that trains.
    pub(crate) fn under(&self, variant: &Variant, trained: &Path) -> Self {
        let mut config = variant.config.clone();
        let weights = match self.config.trained() {
            None => {
                config.model = self.config.model.clone();
                self.weights.clone()
            }
            Some(_) => {
                config.sampler.d = Some(config.d());
                let reference = trained.display().to_string();
                let source = CheckpointSource::Reference(reference);
                config.model = ModelConfig::Checkpoint { source };
                Weights::At(trained.to_path_buf())
            }
        };
        Self {
            config,
            weights,
            features: self.features.clone(),
        }
    }
}

/// The folder of the run `name` in the folder that `folder` lies in, as the runs of a sweep do.
fn beside(folder: Option<&Path>, name: &str) -> Result<PathBuf, ConfigError> {
    let refused = || {
        let message =
            format!("checkpoint of the run {name}: give that run's folder as the checkpoint");
        ConfigError::new("model", message)
    };
    Ok(folder.ok_or_else(refused)?.with_file_name(name))
}

/// The reference at a commit with which the run in `folder` began, if it is one to what `reference` names.
fn begun_with(folder: &Path, reference: &str) -> Option<String> {
    let named: Reference = reference.parse().ok()?;
    if named.names_revision() {
        return None;
    }
    let (document, _) = Document::read::<RunConfig>(&folder.join("config.yaml")).ok()?;
    let config = RunConfig::read(&document, &[]).ok()?;
    let of_model = match config.model {
        ModelConfig::Checkpoint {
            source: CheckpointSource::Reference(reference),
        } => Some(reference),
        ModelConfig::Network(model) => model.training.start_from,
        _ => None,
    };
    let of_scores = config.scoring.features.as_ref();
    let of_scores = of_scores
        .and_then(FeaturesConfig::weights)
        .map(str::to_string);
    let is_same = |reference: &String| {
        let begun: Result<Reference, _> = reference.parse();
        begun.is_ok_and(|begun| begun.is_pinned() && begun.same_place(&named))
    };
    of_model.into_iter().chain(of_scores).find(is_same)
}
