//! Sampling that starts from what a model is shown, in place of the prior.

use candle_core::{Device, Result, Tensor, bail};
use pfgmpp_kernel::{Condition, Denoiser, Query, widest_float};
use pfgmpp_transfer::{Levels, ParameterError};
use serde::{Deserialize, Serialize};

use crate::Watch;

/// Sampling that starts from the conditioning image itself, a noisy image, at the level that its noise has.
///
/// ```text
/// x(sigma) = c,   the ODE down the levels below sigma,   sample = weight x(0) + (1 - weight) c
/// ```
///
/// At every D the level is the standard deviation of the noise of c: an image that is off by sigma in each value shows the
/// level `sigma_eff² = (N sigma² + D sigma²)/(N + D) = sigma²`. A model that takes no conditioning image is told nothing of c.
///
/// Source: Hein et al. 2024, arXiv:2402.08159, for a consistency model of PFGM++, whose weight trades the model's
/// image for fidelity to c.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartFromCondition {
    /// The level that c has: the standard deviation of its noise, in units of the data.
    pub sigma: f64,
    /// The share of the model's image in the sample; 1, all of it, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// Whether one evaluation at the level makes the sample, `E[y | x = c]`; the levels of the schedule below sigma are
    /// visited if left out.
    #[serde(default, skip_serializing_if = "is_false")]
    pub one_step: bool,
}

fn is_false(value: &bool) -> bool {
    !*value
}

impl StartFromCondition {
    /// Checks the parameters, for a schedule of these `levels`.
    ///
    /// # Errors
    ///
    /// A level that is not within those of the schedule, and a weight that is not from 0 to 1.
    pub fn check(&self, levels: &Levels) -> std::result::Result<(), ParameterError> {
        let [high, low] = levels.ends();
        if !(self.sigma > low && self.sigma <= high) {
            let accepted =
                format!("above {low} and at most {high}, within the levels of the schedule");
            return Err(ParameterError::new("sigma", self.sigma, accepted));
        }
        ParameterError::within("weight", self.weight.unwrap_or(1.0), 0.0, 1.0)
    }

    /// The levels that are visited, of those of a schedule; `None` where one evaluation makes the sample.
    pub(crate) fn levels(&self, all: &Levels) -> Option<Levels> {
        if self.one_step {
            return None;
        }
        let below = all.as_slice().iter().copied();
        let below = below.filter(|level| *level < self.sigma * (1.0 - 1e-9));
        let visited = std::iter::once(self.sigma).chain(below).collect();
        Some(Levels::new(visited).expect("a level above the lowest of levels that fall"))
    }

    /// The state that sampling starts from: the conditioning image, of the `shape` of a sample.
    ///
    /// # Errors
    ///
    /// No image, or one of another shape.
    pub(crate) fn state(
        &self,
        condition: &Condition,
        shape: &[usize],
        device: &Device,
    ) -> Result<Tensor> {
        let Some(image) = condition.image() else {
            bail!("start_from_condition: the samples are conditioned on no image");
        };
        if &image.dims()[1..] != shape {
            bail!(
                "start_from_condition: the conditioning image must be of the shape of a sample, {shape:?}, got {:?}",
                &image.dims()[1..]
            );
        }
        image.to_device(device)?.to_dtype(widest_float(device))
    }

    /// What the model is told of the condition.
    pub(crate) fn told(&self, condition: &Condition, denoiser: &dyn Denoiser) -> Condition {
        match denoiser.takes().image_channels {
            0 => condition.without_image(),
            _ => condition.clone(),
        }
    }

    /// `E[y | x]` of the state `x` at the level.
    pub(crate) fn step(
        &self,
        denoiser: &dyn Denoiser,
        condition: &Condition,
        x: &Tensor,
        watch: &mut Watch,
    ) -> Result<Tensor> {
        let sigma = vec![self.sigma; x.dim(0)?];
        let found = denoiser.denoise(&Query::new(x, &sigma).under(condition))?;
        let samples: Vec<usize> = (0..sigma.len()).collect();
        watch(&samples, &vec![0.0; sigma.len()], &found)?;
        Ok(found)
    }

    /// The sample of what the model made of the image `start`.
    pub(crate) fn mixed(&self, made: Tensor, start: &Tensor) -> Result<Tensor> {
        match self.weight {
            None | Some(1.0) => Ok(made),
            Some(weight) => (made * weight)? + (start * (1.0 - weight))?,
        }
    }
}
