//! What configurations and checkpoints say of a sampler.

use pfgmpp_kernel::Dimension;
use pfgmpp_transfer::{Guess, ParameterError, Schedule};
use serde::{Deserialize, Serialize};

use crate::{ChurnConfig, Classes, Guidance, Sampler, SelfTimed, SolverConfig, StartFromCondition};

/// A sampler as it is written down, with the D that its denoiser is lifted to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamplerConfig {
    /// The method that integrates the ODE.
    pub solver: SolverConfig,
    /// The noise levels it visits.
    pub schedule: Schedule,
    /// The dimension D to sample at, where it is not that of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub d: Option<Dimension>,
    /// Where a denoiser of D = ∞ that samples at another D takes its guess of the data from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guess: Option<Guess>,
    /// How far the denoiser is asked at the level that the sample shows; at the schedule's alone if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_timed: Option<SelfTimed>,
    /// The classes of the samples, for a model that has classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Classes>,
    /// How far samples of a class are led away from those of none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guidance: Option<Guidance>,
    /// Factor on the norm of the prior's samples, 1 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Bounds that the norm of the prior's samples is held to, as original PFGM does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prior_radius: Option<[f64; 2]>,
    /// What samples start from in place of the prior: the image that the model is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_from_condition: Option<StartFromCondition>,
    /// Noise added on the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub churn: Option<ChurnConfig>,
    /// Noise added before each step that the solver is not told of, in units of the noise level: a test of how errors
    /// are borne.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub injected_noise: Option<f64>,
}

impl SamplerConfig {
    /// The configuration of a sampler that integrates with `solver` over `schedule`, and nothing else.
    pub fn new(solver: SolverConfig, schedule: Schedule) -> Self {
        Self {
            solver,
            schedule,
            d: None,
            guess: None,
            self_timed: None,
            classes: None,
            guidance: None,
            temperature: None,
            prior_radius: None,
            start_from_condition: None,
            churn: None,
            injected_noise: None,
        }
    }

    /// How far levels are read off the samples; `None` where the schedule alone says them, as with kappa infinite.
    #[must_use]
    pub fn reads_levels(&self) -> Option<&SelfTimed> {
        let timed = self.self_timed.as_ref();
        timed.filter(|timed| !timed.kappa.is_infinite())
    }

    /// Checks every parameter.
    ///
    /// # Errors
    ///
    /// The first one outside its range; churn with a solver that takes none.
    pub fn check(&self) -> Result<(), ParameterError> {
        if let Some(guess) = &self.guess {
            guess.check().map_err(|e| e.under("guess.fixed_point"))?;
        }
        if let Some(guidance) = &self.guidance {
            guidance.check().map_err(|e| e.under("guidance"))?;
        }
        if let Some(Classes::List(list)) = &self.classes
            && list.is_empty()
        {
            let accepted = "uniform, data, or a list of at least one class";
            return Err(ParameterError::new("classes", "[]", accepted));
        }
        if let (Some(_), Some(guess)) = (self.reads_levels(), &self.guess) {
            let accepted = "absent with self_timed, which takes the solver's last estimate";
            return Err(ParameterError::new("guess", format!("{guess:?}"), accepted));
        }
        if let Some(d) = self.d {
            ParameterError::dimension("d", d)?;
        }
        self.build().map(|_| ())
    }

    /// The sampler: solver, levels, prior radius and churn.
    ///
    /// The other keys are for the caller: its D is that of the kernel it is given, `d` and `guess` say how to lift a
    /// denoiser there ([`EffectiveNoise`](pfgmpp_transfer::EffectiveNoise)), `guidance` is applied by
    /// [`Guided`](crate::Guided), `classes` by the condition.
    ///
    /// # Errors
    ///
    /// As [`Self::check`].
    pub fn build(&self) -> Result<Sampler, ParameterError> {
        let levels = self.schedule.levels().map_err(|e| e.under("schedule"))?;
        let solver = self.solver.solver();
        let named = |e: ParameterError| e.under(self.solver.name()).under("solver");
        solver.check().map_err(named)?;
        let mut sampler = Sampler::new(solver, levels)?;
        if let Some(temperature) = self.temperature {
            sampler = sampler.with_temperature(temperature)?;
        }
        if let Some(radius) = self.prior_radius {
            sampler = sampler.with_prior_radius(radius)?;
        }
        if let Some(start) = self.start_from_condition {
            if self.temperature.is_some() || self.prior_radius.is_some() {
                let accepted = "absent with temperature or prior_radius, which are of the prior";
                return Err(ParameterError::new(
                    "start_from_condition",
                    start.sigma,
                    accepted,
                ));
            }
            let refused = |e: ParameterError| e.under("start_from_condition");
            sampler = sampler.starting_from_condition(start).map_err(refused)?;
        }
        if let Some(churn) = &self.churn {
            sampler = sampler.with_churn(churn.clone())?;
        }
        if let Some(alpha) = self.injected_noise {
            sampler = sampler.with_injected_noise(alpha)?;
        }
        if let Some(timed) = &self.self_timed {
            let refused = |e: ParameterError| e.under("self_timed");
            sampler = sampler.with_self_timed(timed).map_err(refused)?;
        }
        Ok(sampler)
    }
}
