//! A run whose names have all been found.

use std::path::{Path, PathBuf};

use pfgmpp_checkpoint::{Resolved, resolve};
use pfgmpp_config::{CheckpointSource, ConfigError, Document, ModelConfig, RunConfig, Variant};
use pfgmpp_data::Statistics;
use pfgmpp_hub::{Hub, Reference};
use pfgmpp_train::TrainerConfig;

use crate::error::RunError;
use crate::starting::with_network_of;

/// A configuration after everything that it names was found: its data are here, and so are the weights that it samples
/// or starts from, unless another run of this machine is still to train them. Nothing is looked up after this.
///
/// There is one way to make it, [`Self::resolve`], and it does not change.
#[derive(Clone, Debug, PartialEq)]
pub struct ResolvedRun {
    config: RunConfig,
    weights: Weights,
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

impl ResolvedRun {
    /// Brings the data and the checkpoint that `config` names here if they are of the Hub, and puts the commit in place
    /// of a revision that may move and the network of the checkpoint that training starts from in place of none: what
    /// is written to `config.yaml` names the same bytes forever.
    ///
    /// - `folder`: where the run lies, beside the run that it may name as its checkpoint; `None` for a configuration
    ///   that is only sampled or timed.
    /// - `begun`: folders of this run and of others that it is compared with; if one of them has begun already, it goes
    ///   on with the commit that it began with, unless the configuration names a revision.
    ///
    /// # Errors
    ///
    /// What the Hub has not or does not give, a checkpoint that training is to start from and that cannot be read, the
    /// name of a run without a `folder`.
    pub fn resolve(
        config: RunConfig,
        folder: Option<&Path>,
        begun: &[PathBuf],
        hub: &Hub,
    ) -> Result<Self, RunError> {
        config.data.fetch(hub)?;
        let mut config = config;
        if let Some(sigma_data) = measured_sigma_data(&config, hub)? {
            config = with_sigma_data(config, sigma_data);
        }
        let find = |named: &str| -> Result<Resolved, RunError> {
            let begun = begun.iter().find_map(|folder| begun_with(folder, named));
            let named = begun.as_deref().unwrap_or(named);
            Ok(resolve(named.as_ref(), hub)?)
        };
        let weights = match &mut config.model {
            ModelConfig::Exact { .. } => Weights::None,
            ModelConfig::Network(model) => match &model.training.start_from {
                None => Weights::None,
                Some(named) => {
                    let Resolved { path, reference } = find(named)?;
                    **model = with_network_of(&path, &reference, model)?;
                    Weights::At(path)
                }
            },
            ModelConfig::Checkpoint { source } => match source {
                CheckpointSource::Reference(named) => {
                    let Resolved { path, reference } = find(named)?;
                    *named = reference;
                    Weights::At(path)
                }
                CheckpointSource::Run(name) => Weights::OfRun(beside(folder, name)?),
            },
        };
        Ok(Self { config, weights })
    }

    /// As [`Self::resolve`] for a run of `config`, the same checkpoint being found already: that of `found`.
    #[must_use]
    pub fn with_weights_of(config: RunConfig, found: &Self) -> Self {
        let mut config = config;
        if let (ModelConfig::Checkpoint { source }, ModelConfig::Checkpoint { source: there }) =
            (&mut config.model, &found.config.model)
        {
            source.clone_from(there);
        }
        Self {
            config,
            weights: found.weights.clone(),
        }
    }

    /// The configuration, as `config.yaml` holds it.
    pub fn config(&self) -> &RunConfig {
        &self.config
    }

    /// Where the weights lie that it samples or starts from.
    pub fn weights(&self) -> &Weights {
        &self.weights
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
        Self { config, weights }
    }
}

/// The standard deviation of the training data of `config`, in four digits, if its preconditioning asks for it
/// (`sigma_data: measured`).
///
/// # Errors
///
/// Data that cannot be read.
pub fn measured_sigma_data(config: &RunConfig, hub: &Hub) -> Result<Option<f64>, RunError> {
    let asks = config
        .trained()
        .is_some_and(TrainerConfig::measures_sigma_data);
    if !asks {
        return Ok(None);
    }
    let train = config.data.load_from(hub)?.train;
    let text = format!("{:.3e}", Statistics::measure(&train)?.std);
    Ok(Some(text.parse().expect("a number that was written")))
}

/// `config` with the standard deviation of its training data, where that was to be measured.
#[must_use]
pub fn with_sigma_data(mut config: RunConfig, sigma_data: f64) -> RunConfig {
    if let ModelConfig::Network(model) = &mut config.model {
        **model = model.as_ref().clone().with_sigma_data(sigma_data);
    }
    config
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
    let reference = match RunConfig::read(&document, &[]).ok()?.model {
        ModelConfig::Checkpoint {
            source: CheckpointSource::Reference(reference),
        } => reference,
        ModelConfig::Network(model) => model.training.start_from?,
        _ => return None,
    };
    let begun: Reference = reference.parse().ok()?;
    (begun.is_pinned() && begun.same_place(&named)).then_some(reference)
}
