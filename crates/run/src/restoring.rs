//! Samples of a model that are told of an observation: data restored.

use candle_core::{Device, Tensor};
use pfgmpp_config::ConfigError;
use pfgmpp_kernel::{Condition, Denoiser, Dimension};
use pfgmpp_sampler::{
    ConjugateGradients, Corruption, Covariance, Dps, ExactConditional, JointNoise, Mmps,
    Observation,
};
use pfgmpp_transfer::ParameterError;

use crate::error::RunError;

/// How a model is told of an observation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RestorationMethod {
    /// [`Mmps`].
    Mmps {
        /// What stands for the covariance of the data behind a sample.
        covariance: Covariance,
        /// When its iteration ends.
        iterations: ConjugateGradients,
    },
    /// [`Dps`].
    Dps {
        /// What stands for the covariance of the data behind a sample.
        covariance: Covariance,
        /// The step size.
        zeta: f64,
    },
    /// [`JointNoise`], where all of the data is observed.
    JointNoise,
    /// [`ExactConditional`], of an exact model.
    Exact,
    /// None: the model was trained on pairs, and is shown what was observed.
    Trained(Corruption),
}

/// Observations, and how samples are told of them.
///
/// The observation of a sample is a function of its seed: the first `samples` seeds from `first_seed` on are of the first
/// one, the next of the second.
pub struct Restoring {
    /// How the observations came about.
    pub observation: Observation,
    /// What was observed, `[num, ...]`.
    pub observed: Tensor,
    /// Samples of each observation, at least 1.
    pub samples: u64,
    /// The seed of the first sample.
    pub first_seed: u64,
    /// How samples are told.
    pub method: RestorationMethod,
}

impl Restoring {
    /// Whether the model is asked for derivatives.
    pub(crate) fn differentiates(&self) -> bool {
        use RestorationMethod::{Dps, Mmps};
        matches!(self.method, Mmps { .. } | Dps { .. })
    }

    /// Whether samples are shown an image of their own shape.
    pub(crate) fn shows_an_image(&self) -> bool {
        use RestorationMethod::Trained;
        matches!(
            self.method,
            Trained(Corruption::Noise(_) | Corruption::Box(_))
        )
    }

    /// Refuses observations that data of `shape` do not give.
    pub(crate) fn check(&self, shape: &[usize]) -> Result<(), RunError> {
        let want = self.observation.operator().observed_shape(shape);
        let want = want.map_err(refused)?;
        let got = &self.observed.dims()[1..];
        if got == want {
            return Ok(());
        }
        let accepted = format!("of shape {want:?}, as images of shape {shape:?} give");
        Err(refused(ParameterError::new(
            "observed",
            format!("{got:?}"),
            accepted,
        )))
    }

    /// `model` told of its observations.
    ///
    /// - `shown_by`: the D by which a sample shows its noise level.
    /// - `d`: that of the kernel.
    /// - `data`: of an exact model.
    pub(crate) fn wrap<'a>(
        &self,
        model: &'a dyn Denoiser,
        shown_by: Dimension,
        d: Dimension,
        data: Option<&Tensor>,
    ) -> Result<Box<dyn Denoiser + 'a>, RunError> {
        let observation = self.observation.clone();
        Ok(match self.method {
            RestorationMethod::Mmps {
                covariance,
                iterations,
            } => {
                let told = Mmps::new(model, shown_by, observation, covariance, iterations);
                Box::new(told.map_err(refused)?)
            }
            RestorationMethod::Dps { covariance, zeta } => {
                let told = Dps::new(model, shown_by, observation, covariance, zeta);
                Box::new(told.map_err(refused)?)
            }
            RestorationMethod::JointNoise => {
                let told = JointNoise::new(model, shown_by, observation.sigma_o());
                Box::new(told.map_err(refused)?)
            }
            RestorationMethod::Trained(_) => Box::new(model),
            RestorationMethod::Exact => {
                let Some(data) = data else {
                    let accepted = "mmps, dps or joint, or the model exact: its data are not known";
                    return Err(refused(ParameterError::new("method", "exact", accepted)));
                };
                Box::new(ExactConditional::new(data, d, observation)?)
            }
        })
    }

    /// `condition` with what was observed of the samples of `seeds`.
    pub(crate) fn tell(
        &self,
        condition: Condition,
        seeds: &[u64],
        device: &Device,
    ) -> Result<Condition, RunError> {
        let row = |seed: &u64| (seed.wrapping_sub(self.first_seed) / self.samples.max(1)) as u32;
        let rows: Vec<u32> = seeds.iter().map(row).collect();
        let rows = Tensor::new(&rows[..], self.observed.device())?;
        let observed = self.observed.index_select(&rows, 0)?.to_device(device)?;
        match self.method {
            RestorationMethod::Trained(corruption) => {
                Ok(condition.with_image(self.shown(corruption, &observed)?)?)
            }
            _ => Ok(condition.with_observed(observed)?),
        }
    }

    /// What a network of pairs is shown of `observed`.
    fn shown(&self, corruption: Corruption, observed: &Tensor) -> candle_core::Result<Tensor> {
        let operator = self.observation.operator();
        let back = operator.transpose(observed)?;
        match corruption {
            Corruption::Noise(_) => Ok(back),
            Corruption::Box(side) => back * (side * side) as f64,
            Corruption::Mask(_) => {
                let seen = operator.transpose(&observed.ones_like()?)?;
                corruption.seen(&back, &seen.narrow(1, 0, 1)?)
            }
        }
    }
}

fn refused(error: ParameterError) -> RunError {
    ConfigError::new("restoration", error).into()
}
