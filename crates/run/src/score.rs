//! Scores of a set of samples against held-out data.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use pfgmpp_config::ScoringConfig;
use pfgmpp_data::Splits;
use pfgmpp_metrics::{Inputs, Metric, Scores};

use crate::error::RunError;
use crate::feature_network::FeatureSource;
use crate::observer::{Observer, Phase, Progress, StopFlag};

/// The data that samples are compared with ([`Dataset::reference_images`](pfgmpp_data::Dataset::reference_images)).
pub(crate) struct Compared {
    pub(crate) train: Tensor,
    pub(crate) held_out: Tensor,
}

impl Compared {
    pub(crate) fn of(splits: &Splits) -> Result<Self, RunError> {
        Ok(Self {
            train: splits.train.reference_images()?,
            held_out: splits.held_out.reference_images()?,
        })
    }

    /// What the network of `source` sees in the held-out data, which are those of `splits`.
    pub(crate) fn held_out_features(
        &self,
        (source, splits): (&FeatureSource, &Splits),
        device: &Device,
        stop: &StopFlag,
        observer: &mut dyn Observer,
    ) -> Result<Arc<Tensor>, RunError> {
        let held_out = (&self.held_out, splits.held_out.fingerprint()?);
        source.features_of_data(held_out, device, stop, observer)
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
    observer: &mut dyn Observer,
    stop: &StopFlag,
) -> Result<Scores, RunError> {
    let mut all = Scores::default();
    for (done, metric) in metrics.iter().enumerate() {
        observer.progress(&Progress {
            phase: Phase::Scoring,
            done: done as u64,
            total: metrics.len() as u64,
            loss: None,
            seconds_left: None,
        });
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

    struct Unwatched;

    impl Observer for Unwatched {
        fn progress(&mut self, _: &Progress) {}

        fn note(&mut self, _: &str) {}
    }

    #[test]
    fn a_stop_is_heard_between_two_metrics() {
        let stop = StopFlag::default();
        let first = Interrupted(stop.clone());
        let inputs = Inputs::default();
        let one = measure(&[&first], &inputs, &mut Unwatched, &StopFlag::default()).unwrap();
        assert_eq!(one.iter().count(), 1);
        let error = measure(&[&first, &first], &inputs, &mut Unwatched, &stop).unwrap_err();
        assert!(matches!(error, RunError::Stopped), "got {error}");
    }
}
