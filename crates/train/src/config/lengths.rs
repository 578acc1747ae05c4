//! How long a run trains, how often it reports, and how its samples are scored.

use pfgmpp_transfer::ParameterError;
use serde::{Deserialize, Serialize};

use crate::yaml::count;

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

impl TrainingConfig {
    pub(super) fn check(&self) -> Result<(), ParameterError> {
        in_range("nimg", self.nimg, 1, 1 << 50)?;
        in_range("batch_size", self.batch_size, 1, 1 << 20)?;
        in_range("log_every", self.log_every, 1, u64::MAX)?;
        in_range("state_every", self.state_every, 1, u64::MAX)
    }
}

impl ScoringConfig {
    pub(super) fn check(&self) -> Result<(), ParameterError> {
        // The unbiased energy distance compares pairs within each set, and its cost grows with
        // their square.
        in_range("num_samples", self.num_samples, 2, 100_000)?;
        in_range("batch_size", self.batch_size, 1, 1 << 20)?;
        in_range("num_projections", self.num_projections, 1, 100_000)
    }
}

pub(super) fn in_range(
    name: &'static str,
    value: u64,
    low: u64,
    high: u64,
) -> Result<(), ParameterError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    let accepted = match high {
        u64::MAX => format!("at least {low}"),
        _ => format!("from {low} to {high}"),
    };
    Err(ParameterError::new(name, value, accepted))
}
