//! Scores of a set of samples against held-out data, and rows that give them a scale.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use pfgmpp_config::ScoringConfig;
use pfgmpp_data::Splits;
use pfgmpp_kernel::{Dimension, Kernel, SampleRng, Stream};
use pfgmpp_metrics::{GaussianFit, Inputs, Metric, Need, Scores};
use serde::{Deserialize, Serialize};

use crate::error::RunError;
use crate::feature_network::{FeatureSource, extract};
use crate::observer::{Observer, StopFlag, Unwatched};
use crate::resolved::ResolvedRun;

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

/// The scores of `samples` by what a network sees in them.
fn by_features(
    samples: &Tensor,
    compared: &Compared,
    scoring: &ScoringConfig,
    (source, splits, metrics): (&FeatureSource, &Splits, &[&dyn Metric]),
    device: &Device,
) -> Result<Scores, RunError> {
    let stop = StopFlag::default();
    let held_out = compared.held_out_features((source, splits), device, &stop, &mut Unwatched)?;
    let own = extract(&*source.open(device)?, samples, &stop, &mut Unwatched)?;
    let inputs = Inputs {
        features: Some([&own, &held_out]),
        ..inputs(samples, compared, scoring)
    };
    Ok(Scores::measure(metrics, &inputs)?)
}

/// Up to `num` rows, evenly spread: sets are often sorted by class.
fn some_of(rows: &Tensor, num: usize) -> candle_core::Result<Tensor> {
    let there = rows.dims()[0];
    if there <= num {
        return Ok(rows.clone());
    }
    let indices: Vec<u32> = (0..num).map(|i| (i * there / num) as u32).collect();
    rows.index_select(&Tensor::new(indices, rows.device())?, 0)
}

/// Sets of Gaussian samples that the reference row averages over: the scores of a single set
/// scatter by a third of themselves.
const GAUSSIAN_SETS: u64 = 8;

/// Scores what needs no training: the training data themselves (about the best that a model of the data
/// can reach), a Gaussian fitted to them (what a trivial model reaches), and Gaussian noise at
/// `sigma_max` (where sampling starts at D = ∞). `data` names the set. Sets of drawn samples are as large as a run's.
///
/// They are scored as `run` is. Where it looks through a network, that sees one set of each, of the training data as many as
/// there are samples.
///
/// # Errors
///
/// Failures of the tensor backend, a network that cannot be read.
pub fn references(
    splits: &Splits,
    data: &str,
    run: &ResolvedRun,
    device: &Device,
) -> Result<Vec<Reference>, RunError> {
    let scoring = &run.config().scoring;
    let compared = Compared::of(splits)?;
    let (train, dtype) = (&compared.train, compared.held_out.dtype());
    let (looking, plain): (Vec<_>, Vec<_>) =
        scoring.metrics.metrics().iter().partition(|metric| {
            run.features().is_some() && metric.needs().contains(&Need::Features)
        });
    let score = |samples: &Tensor| Scores::measure(&plain, &inputs(samples, &compared, scoring));
    let seen = |samples: &Tensor| match run.features() {
        None => Ok(Scores::default()),
        Some(source) => by_features(
            samples,
            &compared,
            scoring,
            (source, splits, &looking),
            device,
        ),
    };
    let in_order = |plain: Scores, seen: &Scores| {
        let names = scoring.metrics.descriptions().map(|metric| metric.name);
        let mut all = Scores::default();
        for name in names {
            let mut found = plain.iter().chain(seen.iter());
            if let Some(score) = found.find(|score| score.name == name) {
                all.push(name, score.estimate);
            }
        }
        all
    };
    let count = scoring.num_samples as usize;
    let fit = GaussianFit::fit(train)?;
    let seed = |set| scoring.seed.wrapping_mul(GAUSSIAN_SETS).wrapping_add(set);
    let gaussian = (0..GAUSSIAN_SETS)
        .map(|set| score(&fit.sample(count, seed(set))?))
        .collect::<Result<Vec<_>, _>>()?;
    let gaussian = in_order(
        Scores::mean(&gaussian),
        &seen(&fit.sample(count, seed(0))?)?,
    );
    let kernel = Kernel::new(splits.train.n(), Dimension::Infinite)?;
    let mut rngs = SampleRng::batch(scoring.seed, Stream::Metric, 0, count);
    let shape = splits.train.image_shape();
    let sigma_max = run.config().sampler.schedule.sigma_max();
    let prior = kernel.prior(&shape, sigma_max, &mut rngs, dtype, &Device::Cpu)?;
    let prior = in_order(score(&prior)?, &seen(&prior)?);
    let train = in_order(score(train)?, &seen(&some_of(train, count)?)?);
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
            train,
        ),
        reference(
            "fitted Gaussian",
            "Samples of a Gaussian with the training data's mean and covariance: \
             what a trivial model reaches.",
            gaussian,
        ),
        reference(
            "prior noise",
            "Gaussian noise of scale sigma_max, where sampling starts at D = inf.",
            prior,
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
