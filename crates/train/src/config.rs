//! The complete description of one run: what `configs/*.yaml` hold.

mod fetch;
mod file;
mod lengths;

use std::path::{Path, PathBuf};

use pfgmpp_data::DataSource;
use pfgmpp_kernel::Dimension;
use pfgmpp_nn::NetworkConfig;
use pfgmpp_objective::PfgmPerturbation;
use pfgmpp_sampler::Sampler;
use pfgmpp_transfer::{FieldPrediction, NoiseLaw, ParameterError, Preconditioning};
use serde::{Deserialize, Serialize};

use crate::yaml::{ConfigError, Document};
use crate::{AdamConfig, EmaConfig};
use file::RunFile;
use lengths::in_range;

pub use lengths::{ScoringConfig, TrainingConfig};

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
    pub sampler: Sampler,
    /// How the samples are scored.
    pub scoring: ScoringConfig,
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
    Network(Box<TrainedModel>),
    /// A network that this run does not train.
    Checkpoint {
        /// Where it lies.
        source: CheckpointSource,
        /// The path of a reference, once [`RunConfig::fetch`] has found it; the reference itself otherwise.
        path: Option<PathBuf>,
        /// The dimension D to sample at, whatever D it was trained at.
        d: Dimension,
    },
}

/// Where a trained network lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckpointSource {
    /// A checkpoint folder, a run folder, or any reference that `pfgmpp sample` takes.
    Reference(String),
    /// The run of this name in the folder that this run's own lies in, as the runs of a sweep do.
    Run(String),
}

/// A network and how it is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainedModel {
    /// The dimension D of the augmentation.
    pub d: Dimension,
    /// The network.
    pub network: NetworkConfig,
    /// What it predicts, and what training minimises.
    pub method: Method,
    /// The optimizer.
    pub optimizer: AdamConfig,
    /// The average of the weights that samples are drawn with.
    pub ema: EmaConfig,
    /// Length of training and how often it reports.
    pub training: TrainingConfig,
}

/// What a network predicts, and what training minimises.
#[derive(Clone, Debug, PartialEq)]
pub enum Method {
    /// A denoiser, by the unbiased objective or towards a stable target.
    Denoiser {
        /// How the network is made a denoiser.
        preconditioning: Preconditioning,
        /// The law that training draws `sigma` from.
        noise_law: NoiseLaw,
        /// Data that a stable target averages over; none for the unbiased objective.
        reference_batch: Option<u64>,
    },
    /// The normalised field of a large batch: original PFGM, D = 1.
    Field {
        /// Where the field is learned.
        perturbation: PfgmPerturbation,
        /// How the network's output is read as a field.
        prediction: FieldPrediction,
        /// Data that make up the field of one step.
        large_batch: u64,
    },
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

    /// The dimension D of the samples.
    pub fn d(&self) -> Dimension {
        self.sampler.d.unwrap_or(self.model.d())
    }

    /// What this run trains, `None` if nothing.
    pub fn trained(&self) -> Option<&TrainedModel> {
        match &self.model {
            ModelConfig::Network(model) => Some(model),
            ModelConfig::Exact { .. } | ModelConfig::Checkpoint { .. } => None,
        }
    }

    /// Images that this run trains on, 0 if it trains nothing.
    pub fn nimg(&self) -> u64 {
        self.trained().map_or(0, |model| model.training.nimg)
    }

    /// The same with a run that is named as a checkpoint found beside `folder`, where this run lies.
    pub fn located(&self, folder: &Path) -> Self {
        let mut config = self.clone();
        if let ModelConfig::Checkpoint { source, .. } = &mut config.model
            && let CheckpointSource::Run(name) = source
        {
            let beside = folder.with_file_name(&*name).display().to_string();
            *source = CheckpointSource::Reference(beside);
        }
        config
    }

    /// The seeds of this run's first `count` samples; runs of other seeds share none of them.
    pub fn sample_seeds(&self, count: u64) -> Vec<u64> {
        let first = self.seed << 32;
        (first..first + count).collect()
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
        check_d("d", self.model.d()).map_err(top)?;
        check_d("sampler.d", self.d()).map_err(top)?;
        self.model.check(origin)?;
        self.sampler.check().map_err(at("sampler".to_string()))?;
        self.scoring.check().map_err(at("scoring".to_string()))?;
        // Samples of a run take the seeds `seed << 32 ..`.
        in_range("seed", self.seed, 0, u64::from(u32::MAX)).map_err(top)
    }
}

impl ModelConfig {
    /// The dimension D that the denoiser is for; that of the samples for a checkpoint.
    pub fn d(&self) -> Dimension {
        match self {
            Self::Exact { d } | Self::Checkpoint { d, .. } => *d,
            Self::Network(model) => model.d,
        }
    }

    fn check(&self, origin: &str) -> Result<(), ConfigError> {
        match self {
            Self::Network(model) => model.check(origin),
            Self::Checkpoint {
                source: CheckpointSource::Run(name),
                ..
            } if name.is_empty() || name.contains(['/', '\\']) || name.starts_with('.') => {
                let message = "model.checkpoint.run: must be the name of a run beside this one, such as \
                               d=inf,seed=0; any other place is a model.checkpoint.reference";
                Err(ConfigError::new(origin, format!("{message}, got {name:?}")))
            }
            Self::Exact { .. } | Self::Checkpoint { .. } => Ok(()),
        }
    }
}

impl TrainedModel {
    fn check(&self, origin: &str) -> Result<(), ConfigError> {
        let at = |section: &str| {
            let section = section.to_string();
            move |e: ParameterError| ConfigError::new(origin, format!("{section}.{e}"))
        };
        self.optimizer.check().map_err(at("optimizer"))?;
        self.ema.check().map_err(at("ema"))?;
        self.training.check().map_err(at("training"))?;
        match &self.method {
            Method::Denoiser {
                preconditioning,
                noise_law,
                reference_batch,
            } => {
                let objective = match reference_batch {
                    None => "objective.unbiased.noise_law",
                    Some(_) => "objective.stable_target.noise_law",
                };
                noise_law.check().map_err(at(objective))?;
                self.check_batch("reference_batch", *reference_batch)
                    .map_err(at("objective.stable_target"))?;
                preconditioning.check().map_err(at("preconditioning"))
            }
            Method::Field {
                perturbation,
                prediction,
                large_batch,
            } => {
                perturbation
                    .check()
                    .map_err(at("objective.pfgm.perturbation"))?;
                prediction.check().map_err(at("objective.pfgm.field"))?;
                self.check_batch("large_batch", Some(*large_batch))
                    .map_err(at("objective.pfgm"))?;
                if self.d == Dimension::Finite(1.0) {
                    return Ok(());
                }
                let message = format!("d must be 1 for objective pfgm, got {}", self.d);
                Err(ConfigError::new(origin, message))
            }
        }
    }

    /// A batch that holds the training batch and more.
    fn check_batch(&self, name: &'static str, size: Option<u64>) -> Result<(), ParameterError> {
        let least = self.training.batch_size;
        match size {
            Some(size) if !(least..=1 << 24).contains(&size) => Err(ParameterError::new(
                name,
                size,
                format!("from training.batch_size = {least} to {}", 1 << 24),
            )),
            _ => Ok(()),
        }
    }
}

/// Networks work in `f32`: below, too much of the noise leaves its range; above, D is infinite to
/// every digit.
fn check_d(name: &'static str, d: Dimension) -> Result<(), ParameterError> {
    match d {
        Dimension::Finite(value) if !(0.1..=1e15).contains(&value) => {
            Err(ParameterError::new(name, value, "from 0.1 to 1e15, or inf"))
        }
        _ => Ok(()),
    }
}

/// Names the last override that set the key an error is about, or one beside it.
fn blame(error: ConfigError, places: &[(String, String)]) -> ConfigError {
    let section = |key: &str| {
        key.rsplit_once('.')
            .map_or(String::new(), |(s, _)| format!("{s}."))
    };
    let about = |key: &str| error.message.starts_with(key);
    let exact = places.iter().rfind(|(key, _)| about(key));
    let beside = || {
        let within = |key: &String| !section(key).is_empty() && about(&section(key));
        places.iter().rfind(|(key, _)| within(key))
    };
    match exact.or_else(beside) {
        Some((_, place)) => ConfigError::new(place, error.message),
        None => error,
    }
}
