//! Scores of a set of samples against held-out data, and rows that give them a scale.

use candle_core::{Device, Tensor};
use pfgmpp_config::ScoringConfig;
use pfgmpp_data::Splits;
use pfgmpp_kernel::{Dimension, Kernel, SampleRng, Stream};
use pfgmpp_metrics::{GaussianFit, energy_distance, sliced_wasserstein};
use serde::{Deserialize, Serialize};

use crate::error::RunError;

/// Distances of a set of samples from the held-out data, in the units of the pixels; 0 is perfect.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Unbiased energy distance; it may fall slightly below 0.
    pub energy_distance: f64,
    /// Sliced 2-Wasserstein distance.
    pub sliced_wasserstein: f64,
}

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

impl Scores {
    /// Scores `samples` `[num, C, H, W]` against `held_out` `[n, C, H, W]`.
    ///
    /// # Errors
    ///
    /// Shapes that differ, and samples that are not finite.
    pub fn measure(
        samples: &Tensor,
        held_out: &Tensor,
        scoring: &ScoringConfig,
    ) -> Result<Self, RunError> {
        Ok(Self {
            energy_distance: energy_distance(samples, held_out)?,
            sliced_wasserstein: sliced_wasserstein(
                samples,
                held_out,
                scoring.num_projections as usize,
                scoring.seed,
            )?,
        })
    }

    /// The mean of several scores.
    fn mean(scores: &[Self]) -> Self {
        let over = |get: fn(&Self) -> f64| {
            scores.iter().map(get).sum::<f64>() / scores.len().max(1) as f64
        };
        Self {
            energy_distance: over(|s| s.energy_distance),
            sliced_wasserstein: over(|s| s.sliced_wasserstein),
        }
    }
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
    let held_out = splits.held_out.images();
    let train = splits.train.images();
    let count = scoring.num_samples as usize;
    let fit = GaussianFit::fit(train)?;
    let gaussian = (0..GAUSSIAN_SETS)
        .map(|set| {
            let seed = scoring.seed.wrapping_mul(GAUSSIAN_SETS).wrapping_add(set);
            Scores::measure(&fit.sample(count, seed)?, held_out, scoring)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let kernel = Kernel::new(splits.train.n(), Dimension::Infinite)?;
    let mut rngs = SampleRng::batch(scoring.seed, Stream::Metric, 0, count);
    let shape = splits.train.image_shape();
    let prior = kernel.prior(&shape, sigma_max, &mut rngs, held_out.dtype(), &Device::Cpu)?;
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
            Scores::measure(train, held_out, scoring)?,
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
            Scores::measure(&prior, held_out, scoring)?,
        ),
    ])
}
