//! What a run leaves, and whether what stands in a folder is that of this run.

use std::path::Path;

use pfgmpp_config::{RunConfig, yaml};
use pfgmpp_kernel::Dimension;
use serde::{Deserialize, Serialize};

use crate::error::RunError;
use crate::folder::RunFolder;
use crate::score::Scores;

/// What a finished run leaves in `metrics.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// The dimension D of the samples.
    pub d: Dimension,
    /// The run's seed.
    pub seed: u64,
    /// Images seen in training; 0 of a model that was not trained in this run.
    pub nimg: u64,
    /// Mean loss over the last tenth of training, if there was any.
    pub train_loss: Option<f64>,
    /// Scores of the samples.
    pub scores: Scores,
    /// Root-mean-square error of the model's estimates of held-out data, in units of the data.
    pub denoising_error: f64,
    /// Samples scored.
    pub num_samples: u64,
    /// Values trained in this run.
    pub params: u64,
    /// Seconds of training, sampling and scoring.
    pub seconds: f64,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Trained if need be, sampled and scored.
    Finished(RunResult),
    /// Stopped on request after this many images, with its state saved.
    Interrupted {
        /// Images seen.
        nimg: u64,
    },
}

/// Refuses a folder that holds a run of another configuration.
///
/// # Errors
///
/// [`RunError::OtherConfig`] with the first difference.
pub fn check_config(config: &RunConfig, folder: &Path) -> Result<(), RunError> {
    let path = folder.join("config.yaml");
    if !path.exists() {
        return match ["metrics.json", "state"]
            .iter()
            .find(|name| folder.join(name).exists())
        {
            None => Ok(()),
            Some(found) => Err(RunError::State {
                path: folder.to_path_buf(),
                message: format!("{found} is there and config.yaml is not"),
            }),
        };
    }
    let text = std::fs::read_to_string(&path).map_err(RunError::io(&path))?;
    match yaml::first_difference(&text, &yaml::to_string(config)?) {
        None => Ok(()),
        Some(difference) => Err(RunError::OtherConfig {
            path: folder.to_path_buf(),
            difference,
        }),
    }
}

/// The result of a run that is finished, `None` of one that is not.
///
/// # Errors
///
/// A result that cannot be read, or that is not of this configuration.
pub fn read_result(config: &RunConfig, folder: &RunFolder) -> Result<Option<RunResult>, RunError> {
    let path = folder.metrics();
    if !path.exists() {
        return Ok(None);
    }
    let bytes = std::fs::read(&path).map_err(RunError::io(&path))?;
    let bad = |message: String| RunError::State {
        path: path.clone(),
        message,
    };
    let result: RunResult = serde_json::from_slice(&bytes).map_err(|e| bad(e.to_string()))?;
    let of_this_run = result.d == config.d()
        && result.seed == config.seed
        && result.nimg == config.nimg()
        && result.num_samples == config.scoring.num_samples;
    if of_this_run {
        Ok(Some(result))
    } else {
        Err(bad("it is the result of another configuration".to_string()))
    }
}
