//! What a run leaves, and whether what stands in a folder is that of this run.

use std::path::Path;

use pfgmpp_config::{ModelConfig, RunConfig, yaml};
use pfgmpp_data::Splits;
use pfgmpp_kernel::Dimension;
use pfgmpp_metrics::Scores;
use pfgmpp_train::TrainingConfig;
use serde::{Deserialize, Serialize};

use crate::error::RunError;
use crate::evaluations::are_evaluated;
use crate::folder::RunFolder;
use crate::resolved::ResolvedRun;
use crate::sealed::{take_seal, to_sealed_json};

/// What a finished run leaves in `metrics.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "ResultFile")]
pub struct RunResult {
    /// The dimension D of the samples.
    pub d: Dimension,
    /// The run's seed.
    pub seed: u64,
    /// Images seen in training; 0 of a model that was not trained in this run.
    pub nimg: u64,
    /// Mean loss over the last tenth of training, if there was any.
    pub train_loss: Option<f64>,
    /// Scores of the samples and of the model.
    pub scores: Scores,
    /// Samples scored.
    pub num_samples: u64,
    /// Values trained in this run.
    pub params: u64,
    /// Seconds of training, sampling and scoring.
    pub seconds: f64,
    /// Relative length of the average that the run has chosen (`post_hoc_ema.choose`); none of a run that chooses none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sigma_rel: Option<f64>,
    /// What tells the data from others ([`Splits::fingerprint`]); none of a result of a version before this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_fingerprint: Option<String>,
    /// What tells the network that scores looked through from others ([`FeatureSource::fingerprint`](crate::FeatureSource::fingerprint)); none of a run without one, and of
    /// a result of a version before this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features_fingerprint: Option<String>,
    /// What tells the checkpoint that was sampled from others ([`ResolvedRun::weights_fingerprint`]); none of a run that trains or has
    /// no weights, and of a result of a version before this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights_fingerprint: Option<String>,
}

/// What `metrics.json` holds, in every version.
#[derive(Deserialize)]
struct ResultFile {
    d: Dimension,
    seed: u64,
    nimg: u64,
    train_loss: Option<f64>,
    scores: Scores,
    /// Stood beside the scores before it was one of them.
    denoising_error: Option<f64>,
    num_samples: u64,
    params: u64,
    seconds: f64,
    #[serde(default)]
    sigma_rel: Option<f64>,
    #[serde(default)]
    data_fingerprint: Option<String>,
    #[serde(default)]
    features_fingerprint: Option<String>,
    #[serde(default)]
    weights_fingerprint: Option<String>,
}

impl From<ResultFile> for RunResult {
    fn from(file: ResultFile) -> Self {
        let mut scores = file.scores;
        if let Some(error) = file.denoising_error {
            scores.push("denoising_error", error);
        }
        Self {
            d: file.d,
            seed: file.seed,
            nimg: file.nimg,
            train_loss: file.train_loss,
            scores,
            num_samples: file.num_samples,
            params: file.params,
            seconds: file.seconds,
            sigma_rel: file.sigma_rel,
            data_fingerprint: file.data_fingerprint,
            features_fingerprint: file.features_fingerprint,
            weights_fingerprint: file.weights_fingerprint,
        }
    }
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
/// One that is to be trained longer, or reports and saves its state at other times, is no other.
///
/// # Errors
///
/// [`RunError::OtherConfig`] with the first difference, and [`RunError::NoConfig`] of a run without one.
pub fn check_config(config: &RunConfig, folder: &Path) -> Result<(), RunError> {
    let other = |difference: String| RunError::OtherConfig {
        path: folder.to_path_buf(),
        difference,
    };
    let path = folder.join("config.yaml");
    if !path.exists() {
        let found = ["metrics.json", "state", "evaluations.json"];
        return match found.iter().find(|name| folder.join(name).exists()) {
            None => Ok(()),
            Some(found) => Err(RunError::NoConfig {
                path: folder.to_path_buf(),
                found,
            }),
        };
    }
    let bytes = std::fs::read(&path).map_err(RunError::io(&path))?;
    // A damaged byte is found by what it makes of the text.
    let text = String::from_utf8_lossy(&bytes).into_owned();
    // A file of an earlier version lacks what that version did not know, which has its old meaning as default.
    let there = yaml::parse_value::<RunConfig>(&text, "config.yaml");
    let there = there.and_then(|there| yaml::to_string(&as_far_as(there, config)));
    match yaml::first_difference(&there.unwrap_or(text), &yaml::to_string(config)?) {
        None => Ok(()),
        Some(difference) => Err(other(difference)),
    }
}

/// Refuses the `result` of the run in `folder` if it is of other data than `splits`, or of other weights, sampled or looked through by
/// scores, than those that `resolved` names now; one of a version before this one does not say.
///
/// # Errors
///
/// [`RunError::OtherData`], and files that are not as they were.
pub fn check_sources(
    result: &RunResult,
    resolved: &ResolvedRun,
    splits: &Splits,
    folder: &Path,
) -> Result<(), RunError> {
    let path = folder.to_path_buf();
    if let Some(there) = &result.data_fingerprint {
        let here = splits.fingerprint()?;
        if *there != here {
            return Err(RunError::OtherData {
                path,
                name: splits.found.name.clone(),
                there: there.clone(),
                here,
            });
        }
    }
    if let (Some(there), Some(network)) = (&result.features_fingerprint, resolved.features()) {
        let name = network.to_string();
        if *there != network.fingerprint()? {
            let how = "scored through";
            return Err(RunError::OtherWeights { path, how, name });
        }
    }
    if let (Some(there), Some(place)) = (&result.weights_fingerprint, resolved.weights().place()) {
        // Weights that are gone are written anew, or missed elsewhere.
        let here = resolved.weights_fingerprint().ok().flatten();
        if here.is_some_and(|here| *there != here) {
            let (how, name) = ("sampled of", place.display().to_string());
            return Err(RunError::OtherWeights { path, how, name });
        }
    }
    Ok(())
}

/// The configuration `there` with what a run may change as it goes on: all that leaves the weights at each
/// number of images as they are.
fn as_far_as(mut there: RunConfig, asked: &RunConfig) -> RunConfig {
    there.evaluations.clone_from(&asked.evaluations);
    if let (ModelConfig::Network(there), Some(asked)) = (&mut there.model, asked.trained()) {
        if let (Some(there), Some(asked)) = (&mut there.post_hoc_ema, &asked.post_hoc_ema) {
            (there.snapshot_every, there.keep) = (asked.snapshot_every, asked.keep);
        }
        let (there, asked) = (&mut there.training, &asked.training);
        // Each named, so that a new one has to be thought of.
        let TrainingConfig {
            nimg,
            batch_size: _,
            log_every,
            state_every,
            grid_every,
            score_every,
            micro_batch: _,
            start_from: _,
            d_list: _,
            non_finite: _,
        } = there;
        *nimg = asked.nimg.max(*nimg);
        (*log_every, *state_every) = (asked.log_every, asked.state_every);
        (*grid_every, *score_every) = (asked.grid_every, asked.score_every);
    }
    there
}

/// What stands in a folder as the result of a run.
pub(crate) enum FoundResult {
    /// Nothing.
    None,
    /// That of the same run when it was to be shorter.
    Shorter(RunResult),
    /// The run is finished.
    Finished(RunResult),
    /// Something that is not what was written, and why.
    Damaged(String),
}

/// The result of the run in `folder` if it is finished, its evaluations too; `None` of one that is not or whose result was damaged. Needs no
/// lock: a result appears whole.
///
/// # Errors
///
/// A result that cannot be read, or that is not of this configuration.
pub fn read_result(config: &RunConfig, folder: &Path) -> Result<Option<RunResult>, RunError> {
    match find_result(config, folder)? {
        FoundResult::Finished(result) => {
            Ok(are_evaluated(config, folder, result.nimg)?.then_some(result))
        }
        FoundResult::None | FoundResult::Shorter(_) | FoundResult::Damaged(_) => Ok(None),
    }
}

/// As [`read_result`], with what is wrong with a result that was damaged.
pub(crate) fn find_result(config: &RunConfig, folder: &Path) -> Result<FoundResult, RunError> {
    let path = RunFolder::metrics_in(folder);
    if !path.exists() {
        return Ok(FoundResult::None);
    }
    let bytes = std::fs::read(&path).map_err(RunError::io(&path))?;
    let result = match RunResult::from_json(&bytes) {
        Ok(result) => result,
        Err(why) => return Ok(FoundResult::Damaged(why)),
    };
    let asked = config.scoring.metrics.descriptions();
    let asked = asked.map(|metric| metric.name);
    let of_this_run = result.d == config.d()
        && result.seed == config.seed
        && result.nimg <= config.nimg()
        && result.num_samples == config.scoring.num_samples
        && (result.scores.iter().map(|score| score.name.as_str())).eq(asked);
    match of_this_run {
        true if result.nimg < config.nimg() => Ok(FoundResult::Shorter(result)),
        true => Ok(FoundResult::Finished(result)),
        false => Err(RunError::State {
            path,
            message: "it is the result of another configuration".to_string(),
        }),
    }
}

/// Whether `bytes` are a result as it was written.
pub(crate) fn is_result(bytes: &[u8]) -> bool {
    RunResult::from_json(bytes).is_ok()
}

impl RunResult {
    /// The text of `metrics.json`, with its checksum.
    pub(crate) fn to_json(&self) -> String {
        to_sealed_json(self)
    }

    /// Reads the text of `metrics.json` and compares its checksum; the version before wrote none.
    fn from_json(bytes: &[u8]) -> Result<Self, String> {
        let mut value = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        take_seal(&mut value)?;
        serde_json::from_slice(bytes).map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests;
