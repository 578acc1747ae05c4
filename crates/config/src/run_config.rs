//! The complete description of one run: what `configs/*.yaml` hold.

use std::fmt;

use pfgmpp_data::DataSource;
use pfgmpp_kernel::Dimension;
use pfgmpp_sampler::{Corruption, SamplerConfig};
use pfgmpp_train::{ConditionConfig, Shown, TrainerConfig};
use pfgmpp_transfer::ParameterError;
use serde::{Deserialize, Serialize};

use crate::blame::blame;
use crate::error::ConfigError;
use crate::file::RunFile;
use crate::scoring::ScoringConfig;
use crate::variants::Evaluations;
use crate::yaml::Document;

/// One run: a model, trained if it needs to be, sampled and scored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RunFile", into = "RunFile")]
pub struct RunConfig {
    /// Seed of initial weights, batch order, noise and scored samples.
    pub seed: u64,
    /// The data set.
    pub data: DataSource,
    /// Where the denoiser comes from.
    pub model: ModelConfig,
    /// The sampler.
    pub sampler: SamplerConfig,
    /// How the samples are scored.
    pub scoring: ScoringConfig,
    /// What the model is sampled with besides.
    pub evaluations: Option<Evaluations>,
}

/// Where the denoiser comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelConfig {
    /// The exact posterior of the training data: no network, no training.
    Exact {
        /// The dimension D of the augmentation.
        d: Dimension,
    },
    /// A network that this run trains.
    Network(Box<TrainerConfig>),
    /// A network that this run does not train.
    Checkpoint {
        /// What names it. Its samples are of `sampler.d`, whatever D it was trained at.
        source: CheckpointSource,
    },
}

/// What is wrong with a checkpoint that is not told at which D to sample.
pub(crate) const NO_D: &str = "sampler.d: is needed by model: checkpoint: from 0.1 to 1e15, or inf";

/// Where a trained network lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckpointSource {
    /// A checkpoint folder, a run folder, or any reference that `pfgmpp sample` takes.
    Reference(String),
    /// The run of this name in the folder that this run's own lies in, as the runs of a sweep do.
    Run(String),
}

/// What names it, as it is written.
impl fmt::Display for CheckpointSource {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (Self::Reference(name) | Self::Run(name)) = self;
        f.write_str(name)
    }
}

impl RunConfig {
    /// Reads a document after overrides, and checks it.
    ///
    /// `places` are the dotted keys that were set, each with who set it: an error in or beside a
    /// key names that place, any other error the file.
    ///
    /// # Errors
    ///
    /// The first parameter that cannot be read or is outside its range.
    pub fn read(document: &Document, places: &[(String, String)]) -> Result<Self, ConfigError> {
        let file = document.path.display().to_string();
        let config: Self = document.to(&file).map_err(|error| blame(error, places))?;
        config.check(&file).map_err(|error| blame(error, places))?;
        Ok(config)
    }

    /// The dimension D of the samples: `sampler.d`, and without it that of the model.
    ///
    /// # Panics
    ///
    /// On a checkpoint without `sampler.d`, which [`Self::check`] refuses.
    pub fn d(&self) -> Dimension {
        let own = || self.model.d();
        let d = self.sampler.d.or_else(own);
        d.expect("a checkpoint is sampled at sampler.d")
    }

    /// What this run trains, `None` if nothing.
    pub fn trained(&self) -> Option<&TrainerConfig> {
        match &self.model {
            ModelConfig::Network(model) => Some(model),
            ModelConfig::Exact { .. } | ModelConfig::Checkpoint { .. } => None,
        }
    }

    /// Images that this run trains on, 0 if it trains nothing.
    pub fn nimg(&self) -> u64 {
        self.trained().map_or(0, |model| model.training.nimg)
    }

    /// The seeds of this run's first `count` samples; runs of other seeds share none of them.
    pub fn sample_seeds(&self, count: u64) -> Vec<u64> {
        let first = self.first_seed();
        (first..first + count).collect()
    }

    /// The seed of this run's first sample.
    pub fn first_seed(&self) -> u64 {
        self.seed << 32
    }

    /// Classes are asked of models that have them; only of a checkpoint is that not known here.
    fn check_classes(&self) -> Result<(), ParameterError> {
        let has_classes = match &self.model {
            ModelConfig::Checkpoint { .. } => return Ok(()),
            ModelConfig::Exact { .. } => false,
            ModelConfig::Network(model) => model.condition == Some(ConditionConfig::Classes),
        };
        if let (Some(guidance), false) = (&self.sampler.guidance, has_classes)
            && guidance.reference.is_none()
        {
            let accepted = "absent for a model that is told no classes (condition: classes), or with a reference";
            return Err(ParameterError::new("guidance", guidance.scale, accepted));
        }
        match (&self.sampler.classes, has_classes) {
            (None, true) => {
                let accepted =
                    "uniform, data or a list such as [0, 3], because of condition classes";
                Err(ParameterError::new("classes", "none", accepted))
            }
            (Some(classes), false) => {
                let accepted = "absent for a model that is told no classes (condition: classes)";
                Err(ParameterError::new("classes", classes, accepted))
            }
            _ => Ok(()),
        }
    }

    /// The likelihood of data is that of a model that is shown nothing of them.
    fn check_pairs(&self) -> Result<(), ParameterError> {
        let asked = |name| self.scoring.metrics.descriptions().any(|d| d.name == name);
        let pairs = self.trained().and_then(TrainerConfig::shown);
        match pairs {
            Some(_) if asked("nll") => {
                let accepted = "a list without nll with condition corrupted or paired: the model is shown an image";
                Err(ParameterError::new("metrics", "nll", accepted))
            }
            _ => Ok(()),
        }
    }

    /// What is beside the images of data of pairs is shown to networks with `condition: paired` alone.
    fn check_paired_data(&self) -> Result<(), String> {
        let shown = self.trained().and_then(TrainerConfig::shown);
        match (&self.data, shown) {
            (DataSource::Paired(_), None | Some(Shown::Corrupted(_))) => Err(
                "data.paired: its input would not be used: set condition: paired, or name the target alone as data"
                    .to_string(),
            ),
            _ => Ok(()),
        }
    }

    fn check_evaluations(&self, origin: &str) -> Result<(), ConfigError> {
        let pairs = self.trained().and_then(TrainerConfig::shown);
        if self.evaluations.is_some() && pairs.is_some() {
            let message =
                "evaluations: a model of pairs is scored by its own run alone: remove this section";
            return Err(ConfigError::new(origin, message));
        }
        self.variants(origin).map(|_| ())
    }

    /// Only what is an image like the samples can be started from; what a checkpoint is shown is not known here.
    fn check_start(&self) -> Result<(), ParameterError> {
        let Some(start) = &self.sampler.start_from_condition else {
            return Ok(());
        };
        let shown = match &self.model {
            ModelConfig::Checkpoint { .. } => return Ok(()),
            ModelConfig::Exact { .. } => None,
            ModelConfig::Network(model) => model.shown(),
        };
        match shown {
            Some(Shown::Paired | Shown::Corrupted(Corruption::Noise(_) | Corruption::Box(_))) => {
                Ok(())
            }
            Some(Shown::Corrupted(Corruption::Mask(_))) | None => {
                let accepted = "absent for a model that is shown no image of the samples' shape (condition: paired, or corrupted by \
                                noise or box)";
                Err(ParameterError::new(
                    "start_from_condition",
                    start.sigma,
                    accepted,
                ))
            }
        }
    }

    /// Levels that are read off a sample belong to no ODE that has a likelihood.
    fn check_likelihood(&self) -> Result<(), ParameterError> {
        let asked = |name| self.scoring.metrics.descriptions().any(|d| d.name == name);
        match &self.sampler.self_timed {
            Some(timed) if !timed.kappa.is_infinite() && asked("nll") => {
                let accepted = "inf where scoring.metrics has nll: levels read off a sample have no likelihood";
                Err(ParameterError::new(
                    "self_timed.kappa",
                    timed.kappa,
                    accepted,
                ))
            }
            _ => Ok(()),
        }
    }

    /// Checks every parameter that its type alone does not.
    ///
    /// # Errors
    ///
    /// The first parameter outside its range, with its dotted path; `origin` names the file.
    pub fn check(&self, origin: &str) -> Result<(), ConfigError> {
        let at = |section: String| {
            move |e: ParameterError| ConfigError::new(origin, format!("{section}.{e}"))
        };
        let top = |e| ConfigError::new(origin, e);
        let (own, sampled) = (self.model.d(), self.sampler.d);
        own.map_or(Ok(()), |d| ParameterError::dimension("d", d))
            .map_err(top)?;
        sampled
            .map_or(Ok(()), |d| ParameterError::dimension("sampler.d", d))
            .map_err(top)?;
        if own.is_none() && sampled.is_none() {
            return Err(ConfigError::new(origin, NO_D.to_string()));
        }
        self.model.check(origin)?;
        self.sampler.check().map_err(at("sampler".to_string()))?;
        self.check_classes().map_err(at("sampler".to_string()))?;
        self.check_start().map_err(at("sampler".to_string()))?;
        self.check_paired_data()
            .map_err(|e| ConfigError::new(origin, e))?;
        self.scoring.check().map_err(at("scoring".to_string()))?;
        self.check_pairs().map_err(at("scoring".to_string()))?;
        self.check_likelihood().map_err(at("sampler".to_string()))?;
        // Samples of a run take the seeds `seed << 32 ..`.
        ParameterError::counted("seed", self.seed, 0, u64::from(u32::MAX)).map_err(top)?;
        self.check_evaluations(origin)
    }
}

impl ModelConfig {
    /// The dimension D that the denoiser is for; `None` of a checkpoint, which says so itself.
    pub fn d(&self) -> Option<Dimension> {
        match self {
            Self::Exact { d } => Some(*d),
            Self::Network(model) => Some(model.d),
            Self::Checkpoint { .. } => None,
        }
    }

    fn check(&self, origin: &str) -> Result<(), ConfigError> {
        match self {
            Self::Network(model) => model.check().map_err(|e| ConfigError::new(origin, e)),
            Self::Checkpoint {
                source: CheckpointSource::Run(name),
            } if name.is_empty() || name.contains(['/', '\\']) || name.starts_with('.') => {
                let message = "model.checkpoint.run: must be the name of a run beside this one, such as \
                               d=inf,seed=0; any other place is a model.checkpoint.reference";
                Err(ConfigError::new(origin, format!("{message}, got {name:?}")))
            }
            Self::Exact { .. } | Self::Checkpoint { .. } => Ok(()),
        }
    }
}
