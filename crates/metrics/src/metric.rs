//! What a metric is: what it says of itself, what it needs, and a number.

use pfgmpp_kernel::{SampleRng, Stream};
use serde::Serialize;

use crate::inputs::{Inputs, Need};
use crate::samples::MetricError;

/// A score of a model's samples, or of the model itself.
///
/// One file a metric and a line in [`METRICS`](crate::METRICS): columns, keys, tags, plots and the table on the
/// terminal follow from its [`Description`].
pub trait Metric: Sync {
    /// What it says of itself.
    fn description(&self) -> Description;

    /// What it is measured on; where that is not at hand, it is left out.
    fn needs(&self) -> &'static [Need];

    /// Measures it. The same inputs give the same bits on any number of threads.
    ///
    /// # Errors
    ///
    /// Inputs that are missing, too few or not finite, and failures of the tensor backend or the denoiser.
    fn evaluate(&self, inputs: &Inputs<'_>) -> Result<Estimate, MetricError>;

    /// Random stream `index` of this metric under `seed`: no other metric and no other purpose draws from it.
    fn rng(&self, seed: u64, index: u64) -> SampleRng {
        SampleRng::new(seed, Stream::score(self.description().name), index)
    }
}

/// What a metric says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Description {
    /// Its name in `scoring.metrics`, its column, key and tag: lower case, underscores and digits, a letter first.
    pub name: &'static str,
    /// Its name in running text, such as `energy distance`.
    pub label: &'static str,
    /// The label where there is little room, such as `energy dist.`
    pub short: &'static str,
    /// The unit of its values.
    pub unit: &'static str,
    /// What the number means, in a phrase.
    pub meaning: &'static str,
    /// Which way is better.
    pub better: Better,
    /// Whether runs of different D compare by it: it is plotted against D then, and the best is marked. Otherwise it is
    /// listed only.
    pub across_d: bool,
}

/// Which way a metric is better.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// The lower the better.
    Lower,
    /// The higher the better.
    Higher,
    /// The nearer to this value the better.
    Near(f64),
}

impl Better {
    /// `value` on a scale where lower is better.
    pub fn rank(self, value: f64) -> f64 {
        match self {
            Self::Lower => value,
            Self::Higher => -value,
            Self::Near(best) => (value - best).abs(),
        }
    }

    /// `lower is better`.
    pub fn in_words(self) -> String {
        match self {
            Self::Lower => "lower is better".to_string(),
            Self::Higher => "higher is better".to_string(),
            Self::Near(best) => format!("nearer to {best} is better"),
        }
    }

    /// What the best value of several is called: `lowest`.
    pub fn superlative(self) -> String {
        match self {
            Self::Lower => "lowest".to_string(),
            Self::Higher => "highest".to_string(),
            Self::Near(best) => format!("nearest to {best}"),
        }
    }
}

/// What a metric finds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The value.
    pub value: f64,
    /// Its standard error over samples, where the metric has one.
    pub standard_error: Option<f64>,
}

impl From<f64> for Estimate {
    fn from(value: f64) -> Self {
        Self {
            value,
            standard_error: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_has_the_lowest_rank() {
        let values = [0.5, 0.9, 1.2, 3.0];
        for (better, want) in [
            (Better::Lower, 0.5),
            (Better::Higher, 3.0),
            (Better::Near(1.0), 0.9),
        ] {
            let got = values
                .into_iter()
                .min_by(|a, b| better.rank(*a).total_cmp(&better.rank(*b)));
            assert_eq!(got, Some(want), "{}", better.in_words());
        }
    }
}
