//! What a solver sees of the way it is on.

use std::collections::VecDeque;

use candle_core::{Result, Tensor};
use pfgmpp_kernel::{Condition, Denoiser, Query, column};

use crate::Watch;

/// The right-hand side of the sampling ODE at some points.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// `dx/dsigma = (x - denoised) / sigma`, shape `[B, ...]`.
    pub slope: Tensor,
    /// The estimate of `E[y | x]` that it follows from, shape `[B, ...]`.
    pub denoised: Tensor,
}

/// What a step before has left.
#[derive(Clone, Debug)]
pub struct Past {
    /// The noise level.
    pub sigma: f64,
    /// The evaluation there.
    pub evaluation: Evaluation,
}

/// The way of one batch: its denoiser and condition, what it was told last, and who watches.
pub struct Path<'a, 'w> {
    denoiser: &'a dyn Denoiser,
    condition: &'a Condition,
    watch: &'a mut Watch<'w>,
    /// The last estimate, which the next query takes as its guess.
    denoised: Option<Tensor>,
    past: VecDeque<Past>,
    /// The evaluation that the next step begins with, where it is known already.
    expected: Option<Past>,
    /// How much of the past is kept.
    history: usize,
}

impl<'a, 'w> Path<'a, 'w> {
    pub(crate) fn new(
        denoiser: &'a dyn Denoiser,
        condition: &'a Condition,
        history: usize,
        watch: &'a mut Watch<'w>,
    ) -> Self {
        Self {
            denoiser,
            condition,
            watch,
            denoised: None,
            past: VecDeque::new(),
            expected: None,
            history,
        }
    }

    /// The slope at `x`, shape `[B, ...]`, and noise level `sigma > 0`, one for the whole batch.
    ///
    /// The estimate of the evaluation before is the guess of this one.
    ///
    /// # Errors
    ///
    /// Failures of the model.
    pub fn evaluate(&mut self, x: &Tensor, sigma: f64) -> Result<Evaluation> {
        if let Some(found) = self.take_expected(sigma) {
            return Ok(found);
        }
        let sigma = vec![sigma; x.dim(0)?];
        let query = Query::new(x, &sigma).under(self.condition);
        let found = slope(self.denoiser, &query.near(self.denoised.as_ref()))?;
        self.denoised = Some(found.denoised.clone());
        Ok(found)
    }

    /// The slope at the beginning of a step: the one that was [remembered](Self::remember) at this level, if any,
    /// else that of [`Self::evaluate`].
    ///
    /// # Errors
    ///
    /// Failures of the model.
    pub fn here(&mut self, x: &Tensor, sigma: f64) -> Result<Evaluation> {
        if let Some(found) = self.take_expected(sigma) {
            return Ok(found);
        }
        match self.past.front() {
            Some(past) if past.sigma == sigma => Ok(past.evaluation.clone()),
            _ => self.evaluate(x, sigma),
        }
    }

    /// Hands the next step the evaluation at its beginning, which is at `sigma`.
    pub(crate) fn expect(&mut self, sigma: f64, evaluation: Evaluation) {
        self.expected = Some(Past { sigma, evaluation });
    }

    fn take_expected(&mut self, sigma: f64) -> Option<Evaluation> {
        let expected = self.expected.take()?;
        (expected.sigma == sigma).then_some(expected.evaluation)
    }

    /// The slope of some samples of the batch, `x` `[samples.len(), ...]`, each at a level and with a guess of its own.
    ///
    /// # Errors
    ///
    /// Failures of the model.
    pub fn evaluate_some(
        &self,
        samples: &[usize],
        x: &Tensor,
        sigma: &[f64],
        guess: Option<&Tensor>,
    ) -> Result<Evaluation> {
        let condition = self.condition.rows(samples)?;
        slope(
            self.denoiser,
            &Query::new(x, sigma).under(&condition).near(guess),
        )
    }

    /// Keeps an evaluation for the steps to come, as many as the solver's [`history`](crate::Solver::history).
    ///
    /// All of it is forgotten when noise is added, which takes the state off its way.
    pub fn remember(&mut self, sigma: f64, evaluation: Evaluation) {
        self.past.push_front(Past { sigma, evaluation });
        self.past.truncate(self.history);
    }

    /// What is remembered, the latest first.
    #[must_use]
    pub fn past(&self) -> &VecDeque<Past> {
        &self.past
    }

    /// Shows samples of the batch within a step: their places, noise levels and states `[samples.len(), ...]`.
    ///
    /// A solver that takes one step from level to level need not: the loop shows where it arrives.
    ///
    /// # Errors
    ///
    /// That of whoever watches and wants to end it.
    pub fn show(&mut self, samples: &[usize], sigma: &[f64], x: &Tensor) -> Result<()> {
        (self.watch)(samples, sigma, x)
    }

    /// The last estimate.
    pub(crate) fn denoised(&self) -> Option<&Tensor> {
        self.denoised.as_ref()
    }

    /// `E[y | x]` without a guess, and without becoming the next one.
    pub(crate) fn estimate(&self, x: &Tensor, sigma: f64) -> Result<Tensor> {
        let sigma = vec![sigma; x.dim(0)?];
        let query = Query::new(x, &sigma).under(self.condition);
        self.denoiser.denoise(&query)
    }

    pub(crate) fn forget(&mut self) {
        self.past.clear();
    }
}

/// `(x - E[y|x]) / sigma`.
fn slope(denoiser: &dyn Denoiser, query: &Query) -> Result<Evaluation> {
    let denoised = denoiser.denoise(query)?;
    let slope = (query.x - &denoised)?.broadcast_div(&column(query.sigma, query.x)?)?;
    Ok(Evaluation { slope, denoised })
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use pfgmpp_kernel::ConditionSpec;

    /// One data point at 3 in every coordinate, whatever x is.
    struct OnePoint;

    impl Denoiser for OnePoint {
        fn takes(&self) -> ConditionSpec {
            ConditionSpec::NONE
        }

        fn denoise(&self, query: &Query) -> Result<Tensor> {
            query.x.ones_like()? * 3.0
        }
    }

    #[test]
    fn the_slope_is_the_noise_over_sigma() {
        let x = Tensor::new(&[[7.0f64, 1.0], [5.0, 3.0]], &Device::Cpu).unwrap();
        let got = slope(&OnePoint, &Query::new(&x, &[2.0, 4.0])).unwrap();
        let slope = got.slope.to_vec2::<f64>().unwrap();
        assert_eq!(slope, [[2.0, -1.0], [0.5, 0.0]]);
    }

    #[test]
    fn what_is_remembered_serves_the_next_step_at_its_level_only() {
        let mut watch = |_: &[usize], _: &[f64], _: &Tensor| Ok(());
        let mut path = Path::new(&OnePoint, Condition::unconditional(), 2, &mut watch);
        let x = Tensor::new(&[[7.0f64]], &Device::Cpu).unwrap();
        for sigma in [3.0, 2.0, 1.0] {
            let found = path.evaluate(&x, sigma).unwrap();
            path.remember(sigma, found);
        }
        let kept: Vec<f64> = path.past().iter().map(|past| past.sigma).collect();
        assert_eq!(kept, [1.0, 2.0]);
        let other = Tensor::new(&[[3.0f64]], &Device::Cpu).unwrap();
        let slope = |found: Evaluation| found.slope.to_vec2::<f64>().unwrap()[0][0];
        assert_eq!(slope(path.here(&other, 1.0).unwrap()), 4.0);
        assert_eq!(slope(path.here(&other, 2.0).unwrap()), 0.0);
    }
}
