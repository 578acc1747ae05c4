//! Scores of a set of samples against held-out data, and rows that give them a scale.

use candle_core::{Device, Tensor};
use pfgmpp_config::ScoringConfig;
use pfgmpp_data::Splits;
use pfgmpp_kernel::{Dimension, Kernel, SampleRng, Stream};
use pfgmpp_metrics::{GaussianFit, Inputs, Metric, Scores};
use serde::{Deserialize, Serialize};

use crate::error::RunError;
use crate::observer::StopFlag;

/// The scores of something that is not a model under test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// What was scored.
    pub name: String,
    /// The data set that it is a scale for.
    pub data: String,
    /// What its scores tell, in a sentence.
    pub meaning: String,
    /// Its scores.
    pub scores: Scores,
}

/// The data that samples are compared with ([`Dataset::reference_images`](pfgmpp_data::Dataset::reference_images)).
pub(crate) struct Compared {
    train: Tensor,
    held_out: Tensor,
}

impl Compared {
    pub(crate) fn of(splits: &Splits) -> Result<Self, RunError> {
        Ok(Self {
            train: splits.train.reference_images()?,
            held_out: splits.held_out.reference_images()?,
        })
    }
}

/// What `samples` `[num, C, H, W]` are scored on; a denoiser is added by whoever has one.
pub(crate) fn inputs<'a>(
    samples: &'a Tensor,
    compared: &'a Compared,
    scoring: &ScoringConfig,
) -> Inputs<'a> {
    Inputs {
        samples: Some(samples),
        held_out: Some(&compared.held_out),
        training: Some(&compared.train),
        num_projections: scoring.num_projections as usize,
        seed: scoring.seed,
        ..Inputs::default()
    }
}

/// As [`Scores::measure`], until `stop` is raised: it is asked between metrics, and by those that ask a model.
pub(crate) fn measure(
    metrics: &[&dyn Metric],
    inputs: &Inputs<'_>,
    stop: &StopFlag,
) -> Result<Scores, RunError> {
    let mut all = Scores::default();
    for metric in metrics {
        if stop.is_raised() {
            return Err(RunError::Stopped);
        }
        let scores = stop.blame(Scores::measure(&[*metric], inputs))?;
        for score in scores.iter() {
            all.push(score.name.clone(), score.estimate);
        }
    }
    Ok(all)
}

/// Sets of Gaussian samples that the reference row averages over: the scores of a single set
/// scatter by a third of themselves.
const GAUSSIAN_SETS: u64 = 8;

/// Scores what needs no training: the training data themselves (about the best that a model of the data
/// can reach), a Gaussian fitted to them (what a trivial model reaches), and Gaussian noise at
/// `sigma_max` (where sampling starts at D = ∞). `data` names the set. Sets of drawn samples are as large as a run's.
///
/// # Errors
///
/// Failures of the tensor backend.
pub fn references(
    splits: &Splits,
    data: &str,
    scoring: &ScoringConfig,
    sigma_max: f64,
) -> Result<Vec<Reference>, RunError> {
    let compared = Compared::of(splits)?;
    let (train, dtype) = (&compared.train, compared.held_out.dtype());
    let metrics = scoring.metrics.metrics();
    let score = |samples: &Tensor| Scores::measure(metrics, &inputs(samples, &compared, scoring));
    let count = scoring.num_samples as usize;
    let fit = GaussianFit::fit(train)?;
    let gaussian = (0..GAUSSIAN_SETS)
        .map(|set| {
            let seed = scoring.seed.wrapping_mul(GAUSSIAN_SETS).wrapping_add(set);
            score(&fit.sample(count, seed)?)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let kernel = Kernel::new(splits.train.n(), Dimension::Infinite)?;
    let mut rngs = SampleRng::batch(scoring.seed, Stream::Metric, 0, count);
    let shape = splits.train.image_shape();
    let prior = kernel.prior(&shape, sigma_max, &mut rngs, dtype, &Device::Cpu)?;
    let reference = |name: &str, meaning: &str, scores| Reference {
        name: name.to_string(),
        data: data.to_string(),
        meaning: meaning.to_string(),
        scores,
    };
    Ok(vec![
        reference(
            "training data",
            "The training images themselves: about the best that a model of the data can reach.",
            score(train)?,
        ),
        reference(
            "fitted Gaussian",
            "Samples of a Gaussian with the training data's mean and covariance: \
             what a trivial model reaches.",
            Scores::mean(&gaussian),
        ),
        reference(
            "prior noise",
            "Gaussian noise of scale sigma_max, where sampling starts at D = inf.",
            score(&prior)?,
        ),
    ])
}

#[cfg(test)]
mod tests {
    use pfgmpp_metrics::{Description, Estimate, MetricError, Need, metric};

    use super::*;

    /// A metric during which someone presses Ctrl-C.
    struct Interrupted(StopFlag);

    impl Metric for Interrupted {
        fn description(&self) -> Description {
            metric("energy_distance").unwrap().description()
        }

        fn needs(&self) -> &'static [Need] {
            &[]
        }

        fn evaluate(&self, _: &Inputs<'_>) -> Result<Estimate, MetricError> {
            self.0.raise();
            Ok(Estimate::from(0.0))
        }
    }

    #[test]
    fn a_stop_is_heard_between_two_metrics() {
        let stop = StopFlag::default();
        let first = Interrupted(stop.clone());
        let inputs = Inputs::default();
        let one = measure(&[&first], &inputs, &StopFlag::default()).unwrap();
        assert_eq!(one.iter().count(), 1);
        let error = measure(&[&first, &first], &inputs, &stop).unwrap_err();
        assert!(matches!(error, RunError::Stopped), "got {error}");
    }
}
