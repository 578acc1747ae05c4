//! What a run leaves, and whether what stands in a folder is that of this run.

use std::path::Path;

use pfgmpp_config::{RunConfig, yaml};
use pfgmpp_kernel::Dimension;
use pfgmpp_metrics::Scores;
use serde::{Deserialize, Serialize};

use crate::error::RunError;
use crate::folder::RunFolder;

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
    // A file of an earlier version lacks what that version did not know, which has its old meaning as default.
    let there = yaml::parse_value::<RunConfig>(&text, "config.yaml");
    let there = there.and_then(|there| yaml::to_string(&there));
    match yaml::first_difference(&there.unwrap_or(text), &yaml::to_string(config)?) {
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
    let asked = config.scoring.metrics.descriptions();
    let asked = asked.map(|metric| metric.name);
    let of_this_run = result.d == config.d()
        && result.seed == config.seed
        && result.nimg == config.nimg()
        && result.num_samples == config.scoring.num_samples
        && (result.scores.iter().map(|score| score.name.as_str())).eq(asked);
    if of_this_run {
        Ok(Some(result))
    } else {
        Err(bad("it is the result of another configuration".to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use pfgmpp_config::Document;

    use super::*;

    /// As the version before scores were a list wrote it.
    const BEFORE: &str = r#"{
  "d": 8.0,
  "seed": 0,
  "nimg": 3200,
  "train_loss": 0.7081,
  "scores": {
    "energy_distance": 0.3597,
    "sliced_wasserstein": 0.2366
  },
  "denoising_error": 0.25,
  "num_samples": 128,
  "params": 4000,
  "seconds": 104.5
}"#;

    fn config(changes: &[(&str, &str)]) -> RunConfig {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/digits.yaml");
        let (mut document, _) = Document::read::<RunConfig>(&path).unwrap();
        for (key, value) in changes {
            let (key, value) = yaml::parse_assignment(&format!("{key}={value}")).unwrap();
            document.set(&key, value, "a test").unwrap();
        }
        RunConfig::read(&document, &[]).unwrap()
    }

    #[test]
    fn a_result_of_the_version_before_is_read() {
        let result: RunResult = serde_json::from_str(BEFORE).unwrap();
        let got: Vec<(String, f64)> = result.scores.columns().collect();
        let want = [
            ("energy_distance", 0.3597),
            ("sliced_wasserstein", 0.2366),
            ("denoising_error", 0.25),
        ];
        assert_eq!(got, want.map(|(name, value)| (name.to_string(), value)));
        assert_eq!(
            (result.nimg, result.params, result.seconds),
            (3200, 4000, 104.5)
        );
    }

    #[test]
    fn a_written_result_reads_back_the_same() {
        let mut result: RunResult = serde_json::from_str(BEFORE).unwrap();
        let estimate = pfgmpp_metrics::Estimate {
            value: 0.98,
            standard_error: Some(0.02),
        };
        result.scores.push("nearest", estimate);
        result.scores.push("a_last_one", -0.0001);
        let json = serde_json::to_string(&result).unwrap();
        assert!(
            json.contains(r#""nearest":0.98,"nearest_standard_error":0.02"#),
            "got {json}"
        );
        let again: RunResult = serde_json::from_str(&json).unwrap();
        assert_eq!(again, result, "from {json}");
    }

    #[test]
    fn a_score_that_is_not_finite_does_not_spoil_the_file() {
        let mut result: RunResult = serde_json::from_str(BEFORE).unwrap();
        result.scores.push("ratio", f64::INFINITY);
        let json = serde_json::to_string(&result).unwrap();
        let again: RunResult = serde_json::from_str(&json).unwrap();
        let got = again.scores.get("ratio").map(|found| found.value);
        assert!(got.is_some_and(f64::is_nan), "got {got:?} from {json}");
    }

    #[test]
    fn a_folder_of_the_version_before_goes_on_and_one_with_other_metrics_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(&[
            ("training.nimg", "3200"),
            ("scoring.num_samples", "128"),
            ("d", "8"),
        ]);
        let text = yaml::to_string(&config).unwrap();
        let (start, end) = (text.find("  metrics:").unwrap(), text.len());
        let before = text[..start].to_string();
        assert!(
            text[start..end]
                .lines()
                .skip(1)
                .all(|line| line.trim_start().starts_with("- "))
        );
        fs::write(folder.path().join("config.yaml"), before).unwrap();
        fs::write(folder.path().join("metrics.json"), BEFORE).unwrap();
        check_config(&config, folder.path()).unwrap();
        let locked = RunFolder::open(folder.path()).unwrap();
        let result = read_result(&config, &locked).unwrap().unwrap();
        assert_eq!(result.scores.get("denoising_error").unwrap().value, 0.25);

        let other = RunConfig {
            scoring: pfgmpp_config::ScoringConfig {
                metrics: vec!["energy_distance".to_string()].try_into().unwrap(),
                ..config.scoring.clone()
            },
            ..config
        };
        let error = check_config(&other, folder.path()).unwrap_err().to_string();
        for part in ["scoring.metrics", "denoising_error", "asked for"] {
            assert!(error.contains(part), "got `{error}`, want `{part}` in it");
        }
        assert_eq!(error.lines().count(), 1, "got {error}");
    }
}
