//! How the samples of a run are scored.

use pfgmpp_metrics::{METRICS, Metric, Need, Selection};
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
    /// The network whose features are compared by the metrics that compare features; `None` for the samples themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<FeaturesConfig>,
}

/// A network that turns images into features.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FeaturesConfig {
    /// The classifier of handwritten digits that is built in.
    Digits,
    /// Inception-v3, by which the Fréchet distance is FID.
    Inception {
        /// Its weights: a file, or a reference to the Hugging Face Hub.
        weights: String,
    },
    /// DINOv2, by which the Fréchet distance is FD-DINOv2.
    Dinov2 {
        /// Its weights: a file, a folder with `model.safetensors`, or a reference to the Hugging Face Hub.
        weights: String,
    },
}

impl FeaturesConfig {
    /// Its name in running text.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Digits => "the classifier of digits",
            Self::Inception { .. } => "Inception-v3",
            Self::Dinov2 { .. } => "DINOv2",
        }
    }

    /// Its weights as they are named, unless they are built in.
    #[must_use]
    pub fn weights(&self) -> Option<&str> {
        match self {
            Self::Digits => None,
            Self::Inception { weights } | Self::Dinov2 { weights } => Some(weights),
        }
    }

    /// Names its weights otherwise.
    pub fn set_weights(&mut self, named: String) {
        match self {
            Self::Digits => {}
            Self::Inception { weights } | Self::Dinov2 { weights } => *weights = named,
        }
    }
}

impl ScoringConfig {
    pub(crate) fn check(&self) -> Result<(), ParameterError> {
        // The unbiased energy distance compares pairs within each set, and its cost grows with
        // their square.
        ParameterError::counted("num_samples", self.num_samples, 2, 100_000)?;
        ParameterError::counted("batch_size", self.batch_size, 1, 1 << 20)?;
        ParameterError::counted("num_projections", self.num_projections, 1, 100_000)?;
        let looks_at = |metric: &&dyn Metric| metric.needs().contains(&Need::Features);
        match &self.features {
            Some(features) if !self.metrics.metrics().iter().any(looks_at) => {
                let all = METRICS.iter().copied().filter(looks_at);
                let all: Vec<&str> = all.map(|metric| metric.description().name).collect();
                let accepted = format!(
                    "left out where none of metrics compares features: {}",
                    all.join(", ")
                );
                Err(ParameterError::new("features", features.label(), accepted))
            }
            _ => Ok(()),
        }
    }
}
