//! The complete description of one run: what `configs/*.yaml` hold.

use pfgmpp_data::DataSource;
use pfgmpp_kernel::Dimension;
use pfgmpp_nn::NetworkConfig;
use pfgmpp_sampler::Sampler;
use pfgmpp_transfer::{NoiseLaw, ParameterError, Preconditioning};
use serde::{Deserialize, Serialize};

use crate::yaml::{ConfigError, count};
use crate::{AdamConfig, EmaConfig};

/// One run: train at one D, sample, score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// The dimension D of the augmentation.
    pub d: Dimension,
    /// Seed of initial weights, batch order, noise and scored samples.
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
    /// Checks every parameter that its type alone does not.
    ///
    /// # Errors
    ///
    /// The first parameter outside its range, with its dotted path; `origin` names the file.
    pub fn check(&self, origin: &str) -> Result<(), ConfigError> {
        let at = |section: &'static str| {
            move |e: ParameterError| ConfigError::new(origin, format!("{section}.{e}"))
        };
        let Objective::Unbiased { noise_law } = &self.objective;
        noise_law
            .check()
            .map_err(at("objective.unbiased.noise_law"))?;
        self.preconditioning
            .check()
            .map_err(at("preconditioning"))?;
        self.optimizer.check().map_err(at("optimizer"))?;
        self.ema.check().map_err(at("ema"))?;
        self.sampler.check().map_err(at("sampler.schedule"))?;
        self.training.check().map_err(at("training"))?;
        self.scoring.check().map_err(at("scoring"))?;
        // Samples of a run take the seeds `seed << 32 ..`.
        in_range("seed", self.seed, 0, u64::from(u32::MAX)).map_err(|e| ConfigError::new(origin, e))
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
        in_range("num_samples", self.num_samples, 2, 10_000_000)?;
        in_range("batch_size", self.batch_size, 1, 1 << 20)?;
        in_range("num_projections", self.num_projections, 1, 1_000_000)
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
