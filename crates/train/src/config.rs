//! The complete description of one run: what `configs/*.yaml` hold.

use pfgmpp_data::DataSource;
use pfgmpp_kernel::Dimension;
use pfgmpp_nn::NetworkConfig;
use pfgmpp_sampler::Sampler;
use pfgmpp_transfer::{NoiseLaw, ParameterError, Preconditioning};
use serde::{Deserialize, Serialize};

use crate::yaml::{ConfigError, Document, count};
use crate::{AdamConfig, EmaConfig};

/// One run: train at one D, sample, score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// The dimension D of the augmentation.
    pub d: Dimension,
    /// Seed of initial weights, batch order, noise and scored samples.
    #[serde(deserialize_with = "count")]
    pub seed: u64,
    /// The data set.
    pub data: DataSource,
    /// The network.
    pub network: NetworkConfig,
    /// How the network is made a denoiser.
    pub preconditioning: Preconditioning,
    /// What training minimises.
    pub objective: Objective,
    /// The optimizer.
    pub optimizer: AdamConfig,
    /// The average of the weights that samples are drawn with.
    pub ema: EmaConfig,
    /// Length of training and how often it reports.
    pub training: TrainingConfig,
    /// The sampler.
    pub sampler: Sampler,
    /// How the samples are scored.
    pub scoring: ScoringConfig,
}

/// What training minimises.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Objective {
    /// The unbiased PFGM++ objective.
    Unbiased {
        /// The law that training draws `sigma` from.
        noise_law: NoiseLaw,
    },
}

/// Length of training and how often it reports, all counted in images seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingConfig {
    /// Images to train on in all, repetitions counted.
    #[serde(deserialize_with = "count")]
    pub nimg: u64,
    /// Images in one step.
    #[serde(deserialize_with = "count")]
    pub batch_size: u64,
    /// Images between two lines of the log.
    #[serde(deserialize_with = "count")]
    pub log_every: u64,
    /// Images between two saved states, from which an interrupted run resumes.
    #[serde(deserialize_with = "count")]
    pub state_every: u64,
    /// Images between two sample grids in TensorBoard; 0 for none.
    #[serde(deserialize_with = "count")]
    pub grid_every: u64,
}

/// How the samples are scored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoringConfig {
    /// Samples to draw and score.
    #[serde(deserialize_with = "count")]
    pub num_samples: u64,
    /// Samples drawn at a time; it bounds memory and leaves every sample as it is.
    #[serde(deserialize_with = "count")]
    pub batch_size: u64,
    /// Directions of the sliced Wasserstein distance.
    #[serde(deserialize_with = "count")]
    pub num_projections: u64,
    /// Seed of those directions and of the reference samples, the same for every D.
    #[serde(deserialize_with = "count")]
    pub seed: u64,
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

    /// Checks every parameter that its type alone does not.
    ///
    /// # Errors
    ///
    /// The first parameter outside its range, with its dotted path; `origin` names the file.
    pub fn check(&self, origin: &str) -> Result<(), ConfigError> {
        let at = |section: &'static str| {
            move |e: ParameterError| ConfigError::new(origin, format!("{section}.{e}"))
        };
        check_d(self.d).map_err(|e| ConfigError::new(origin, e))?;
        let Objective::Unbiased { noise_law } = &self.objective;
        noise_law
            .check()
            .map_err(at("objective.unbiased.noise_law"))?;
        self.preconditioning
            .check()
            .map_err(at("preconditioning"))?;
        self.optimizer.check().map_err(at("optimizer"))?;
        self.ema.check().map_err(at("ema"))?;
        self.sampler.check().map_err(at("sampler"))?;
        self.training.check().map_err(at("training"))?;
        self.scoring.check().map_err(at("scoring"))?;
        // Samples of a run take the seeds `seed << 32 ..`.
        in_range("seed", self.seed, 0, u64::from(u32::MAX)).map_err(|e| ConfigError::new(origin, e))
    }
}

/// Networks work in `f32`: below, too much of the noise leaves its range; above, D is infinite to
/// every digit.
fn check_d(d: Dimension) -> Result<(), ParameterError> {
    match d {
        Dimension::Finite(value) if !(0.1..=1e15).contains(&value) => {
            Err(ParameterError::new("d", value, "from 0.1 to 1e15, or inf"))
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

impl TrainingConfig {
    fn check(&self) -> Result<(), ParameterError> {
        in_range("nimg", self.nimg, 1, 1 << 50)?;
        in_range("batch_size", self.batch_size, 1, 1 << 20)?;
        in_range("log_every", self.log_every, 1, u64::MAX)?;
        in_range("state_every", self.state_every, 1, u64::MAX)
    }
}

impl ScoringConfig {
    fn check(&self) -> Result<(), ParameterError> {
        // The unbiased energy distance compares pairs within each set.
        // and its cost grows with their square.
        in_range("num_samples", self.num_samples, 2, 100_000)?;
        in_range("batch_size", self.batch_size, 1, 1 << 20)?;
        in_range("num_projections", self.num_projections, 1, 100_000)
    }
}

fn in_range(name: &'static str, value: u64, low: u64, high: u64) -> Result<(), ParameterError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    let accepted = match high {
        u64::MAX => format!("at least {low}"),
        _ => format!("from {low} to {high}"),
    };
    Err(ParameterError::new(name, value, accepted))
}
