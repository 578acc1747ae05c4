//! How the samples of a run are scored.

use pfgmpp_metrics::Selection;
use pfgmpp_train::count;
use pfgmpp_transfer::ParameterError;
use serde::{Deserialize, Serialize};

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
    /// What to score by, in the order of the columns; where it is not given, what every version has had.
    #[serde(default)]
    pub metrics: Selection,
}

impl ScoringConfig {
    pub(crate) fn check(&self) -> Result<(), ParameterError> {
        // The unbiased energy distance compares pairs within each set, and its cost grows with
        // their square.
        ParameterError::counted("num_samples", self.num_samples, 2, 100_000)?;
        ParameterError::counted("batch_size", self.batch_size, 1, 1 << 20)?;
        ParameterError::counted("num_projections", self.num_projections, 1, 100_000)
    }
}
