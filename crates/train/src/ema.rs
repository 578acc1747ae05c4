//! Moving averages of the weights, and how long they remember.

use std::collections::HashMap;

use candle_core::{Result, Tensor, Var};
use pfgmpp_nn::Parameters;
use pfgmpp_transfer::ParameterError;
use serde::{Deserialize, Serialize};

use crate::count::amount;
use crate::power::PowerProfile;

/// The average's memory, in images, so that it means the same at every batch size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmaConfig {
    /// Images after which a weight's share in the average has halved.
    #[serde(deserialize_with = "amount")]
    pub half_life: f64,
    /// The half-life is at most this share of the images seen, so that the average forgets the
    /// initial weights early in training (Karras et al. 2022 take 0.05).
    pub ramp_up: f64,
}

impl EmaConfig {
    /// Checks the parameters.
    ///
    /// # Errors
    ///
    /// A half-life or ramp that is not positive.
    pub fn check(&self) -> std::result::Result<(), ParameterError> {
        ParameterError::positive("half_life", self.half_life)?;
        ParameterError::positive("ramp_up", self.ramp_up)
    }

    /// The average's share that survives a step of `batch_size` images after `nimg` images.
    ///
    /// ```text
    /// beta = 0.5^(batch_size / min(half_life, ramp_up nimg))
    /// ```
    pub fn beta(&self, nimg: u64, batch_size: u64) -> f64 {
        let half_life = self.half_life.min(self.ramp_up * nimg as f64);
        0.5f64.powf(batch_size as f64 / half_life.max(f64::MIN_POSITIVE))
    }
}

/// How an average weighs the past.
#[derive(Clone, Debug, PartialEq)]
pub enum Profile {
    /// Exponentially, over a fixed number of images.
    HalfLife(EmaConfig),
    /// By a power of the images seen, over a fixed share of training.
    Power(PowerProfile),
}

impl Profile {
    /// The average's share that survives a step of `batch_size` images after `nimg` images.
    pub fn beta(&self, nimg: u64, batch_size: u64) -> f64 {
        match self {
            Self::HalfLife(config) => config.beta(nimg, batch_size),
            Self::Power(profile) => profile.beta(nimg, batch_size),
        }
    }
}

impl From<EmaConfig> for Profile {
    fn from(config: EmaConfig) -> Self {
        Self::HalfLife(config)
    }
}

impl From<PowerProfile> for Profile {
    fn from(profile: PowerProfile) -> Self {
        Self::Power(profile)
    }
}

/// The averaged weights, which [`Averages::update`](crate::Averages::update) moves.
pub struct Ema {
    profile: Profile,
    weights: Vec<(String, Var)>,
}

impl Ema {
    /// An average that starts at the weights as they are.
    ///
    /// # Errors
    ///
    /// Failures of the tensor backend.
    pub fn new(profile: impl Into<Profile>, parameters: &Parameters) -> Result<Self> {
        let copy =
            |(name, var): (String, Var)| Ok((name, Var::from_tensor(&var.as_tensor().copy()?)?));
        let weights = parameters
            .vars()
            .into_iter()
            .map(copy)
            .collect::<Result<_>>()?;
        Ok(Self {
            profile: profile.into(),
            weights,
        })
    }

    /// How the average weighs the past.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The averaged weights by name, without gradients, sharing storage with the average.
    pub fn tensors(&self) -> HashMap<String, Tensor> {
        self.weights
            .iter()
            .map(|(name, var)| (name.clone(), var.as_detached_tensor()))
            .collect()
    }

    /// The averaged weights as variables, in the order of the parameters.
    pub(crate) fn vars(&self) -> impl Iterator<Item = (&str, &Var)> {
        self.weights.iter().map(|(name, var)| (name.as_str(), var))
    }

    /// The average of parameter `i`.
    pub(crate) fn var(&self, i: usize) -> &Var {
        &self.weights[i].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: EmaConfig = EmaConfig {
        half_life: 1000.0,
        ramp_up: 0.05,
    };

    #[test]
    fn the_average_halves_over_the_half_life() {
        let steps = (0..10).map(|_| CONFIG.beta(1_000_000, 100));
        let got: f64 = steps.product();
        assert!((got - 0.5).abs() < 1e-12, "got {got}, want 0.5");
    }

    #[test]
    fn the_first_step_forgets_the_initial_weights() {
        assert_eq!(CONFIG.beta(0, 64), 0.0);
        let early = CONFIG.beta(640, 64);
        assert!(
            (early - 0.25).abs() < 1e-12,
            "half-life 32: got {early}, want 0.25"
        );
    }
}
