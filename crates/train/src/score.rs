//! Scores of a set of samples against held-out data, and rows that give them a scale.

use candle_core::{Device, Tensor};
use pfgmpp_data::Splits;
use pfgmpp_kernel::{Dimension, Kernel, SampleRng, Stream};
use pfgmpp_metrics::{GaussianFit, energy_distance, sliced_wasserstein};
use serde::{Deserialize, Serialize};

use crate::{RunError, ScoringConfig};

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
}

/// Scores what needs no training: the training data themselves (the best that a model of the data
/// can reach), a Gaussian fitted to them (what a trivial model reaches), and Gaussian noise at
/// `sigma_max` (where sampling starts at D = ∞).
///
/// # Errors
///
/// Failures of the tensor backend.
pub fn references(
    splits: &Splits,
    scoring: &ScoringConfig,
    sigma_max: f64,
) -> Result<Vec<Reference>, RunError> {
    let held_out = splits.held_out.images();
    let train = splits.train.images();
    let gaussian = GaussianFit::fit(train)?.sample(scoring.num_samples as usize, scoring.seed)?;
    let kernel = Kernel::new(splits.train.n(), Dimension::Infinite)?;
    let count = scoring.num_samples as usize;
    let mut rngs = SampleRng::batch(scoring.seed, Stream::Metric, 0, count);
    let shape = splits.train.image_shape();
    let prior = kernel.prior(&shape, sigma_max, &mut rngs, held_out.dtype(), &Device::Cpu)?;
    [
        (
            "training data",
            "The training images themselves: the best that a model of the data can reach.",
            train,
        ),
        (
            "fitted Gaussian",
            "Samples of a Gaussian with the training data's mean and covariance: what a trivial model reaches.",
            &gaussian,
        ),
        (
            "prior noise",
            "Gaussian noise of scale sigma_max, where sampling starts at D = inf.",
            &prior,
        ),
    ]
    .into_iter()
    .map(|(name, meaning, samples)| {
        Ok(Reference {
            name: name.to_string(),
            meaning: meaning.to_string(),
            scores: Scores::measure(samples, held_out, scoring)?,
        })
    })
    .collect()
}
