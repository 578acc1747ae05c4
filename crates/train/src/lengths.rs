//! How long a network is trained and how often that is reported.

use pfgmpp_transfer::ParameterError;
use serde::{Deserialize, Serialize};

use crate::count::count;

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

impl TrainingConfig {
    pub(crate) fn check(&self) -> Result<(), ParameterError> {
        ParameterError::counted("nimg", self.nimg, 1, 1 << 50)?;
        ParameterError::counted("batch_size", self.batch_size, 1, 1 << 20)?;
        ParameterError::counted("log_every", self.log_every, 1, u64::MAX)?;
        ParameterError::counted("state_every", self.state_every, 1, u64::MAX)
    }
}
