//! Self-timed sampling: the noise level read off the sample.

use candle_core::{Result, Tensor};
use pfgmpp_kernel::{Denoiser, Dimension, Kernel};
use pfgmpp_transfer::{DataMoments, EffectiveNoise, Guess, ParameterError};
use serde::{Deserialize, Serialize};

use crate::{BeforeStep, Path};
use pfgmpp_kernel::column;

/// How far a sampler trusts its schedule, and how far the sample.
///
/// ```text
/// shown² = (|x - m|² + e(shown) + kappa sigma²) / (N + kappa)      m: the solver's last estimate of E[y | x]
/// ```
///
/// e(s) is the denoiser's squared error at level s, 0 where it is not known. The denoiser is asked at the level that the
/// sample shows instead of that of the schedule, which counts as `kappa`
/// observations beside the sample's N. With `kappa` infinite it is the schedule alone; with `kappa = D`, on a model of
/// D = ∞, it is the lift of [`EffectiveNoise`] to D. It costs no evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfTimed {
    /// Observations that the schedule counts as: a positive number, or infinite for the schedule alone.
    pub kappa: Dimension,
    /// Where a step leads from the level that the sample shows.
    #[serde(default)]
    pub step: TimedStep,
}

/// Where a step leads from the level that the sample shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimedStep {
    /// Down by as much as the schedule goes down: the ratio of the level shown to that of the schedule is kept.
    #[default]
    KeepRatio,
    /// To the level of the schedule: before a step the sample is moved along the line to its estimate by the ratio of the
    /// schedule's level to the one that was read, without e(s).
    ToSchedule,
}

impl SelfTimed {
    /// Checks kappa.
    ///
    /// # Errors
    ///
    /// A kappa below 0.001 or above 1e15.
    pub fn check(&self) -> std::result::Result<(), ParameterError> {
        match self.kappa {
            Dimension::Finite(kappa) if !(1e-3..=1e15).contains(&kappa) => {
                let accepted = "from 0.001 to 1e15, or inf";
                Err(ParameterError::new("kappa", kappa, accepted))
            }
            _ => Ok(()),
        }
    }

    /// `denoiser`, of data of `n` values with `moments`, asked at the levels that samples show.
    ///
    /// - `sigma_max`: the highest level that it is asked at; above, it is extended as a lift is
    ///   ([`EffectiveNoise::with_sigma_max`]).
    ///
    /// The first evaluation of a way has no estimate to measure by and takes the data's mean. In derivatives the
    /// estimate is held fixed.
    ///
    /// # Errors
    ///
    /// A kappa out of range, a mean of another size than `n`, a `sigma_max` that is not positive.
    pub fn denoiser<M: Denoiser>(
        &self,
        denoiser: M,
        n: usize,
        moments: DataMoments,
        sigma_max: f64,
    ) -> std::result::Result<EffectiveNoise<M>, ParameterError> {
        self.check()?;
        let kernel =
            Kernel::new(n, self.kappa).map_err(|_| ParameterError::new("n", n, "at least 1"))?;
        EffectiveNoise::new(denoiser, &kernel, Guess::Previous, moments)?.with_sigma_max(sigma_max)
    }
}

/// Moves samples to the level of the schedule before each step ([`TimedStep::ToSchedule`]).
pub(crate) struct ToSchedule {
    /// Observations that the schedule counts as.
    pub kappa: f64,
}

impl BeforeStep for ToSchedule {
    /// The evaluation that tells where to move along is handed on to the solver, so that none is added.
    fn before(
        &self,
        _step: usize,
        x: Tensor,
        sigma: f64,
        path: &mut Path,
    ) -> Result<(Tensor, f64)> {
        let Some(m) = path.denoised().cloned() else {
            return Ok((x, sigma));
        };
        let squares = pfgmpp_kernel::squared_norms(&(&x - m)?)?;
        let total = x.elem_count() as f64 / x.dim(0)? as f64 + self.kappa;
        let ratio: Vec<f64> = squares
            .iter()
            .map(|square| sigma / ((square + self.kappa * sigma * sigma) / total).sqrt())
            .collect();
        let mut found = path.here(&x, sigma)?;
        let noise = (&x - &found.denoised)?.broadcast_mul(&column(&ratio, &x)?)?;
        found.slope = (&noise / sigma)?;
        let moved = (&found.denoised + noise)?;
        path.expect(sigma, found);
        Ok((moved, sigma))
    }
}
