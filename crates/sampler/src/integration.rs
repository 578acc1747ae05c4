//! The loop around a solver.

use candle_core::{Result, Tensor, bail};
use pfgmpp_kernel::{Condition, Denoiser};
use pfgmpp_transfer::Levels;

use crate::{BeforeStep, Path, Solver, Step, Watch};

/// A batch on its way along the ODE: down the levels to data, or up them to the prior.
pub struct Integration<'a> {
    /// The method.
    pub solver: &'a dyn Solver,
    /// The model.
    pub denoiser: &'a dyn Denoiser,
    /// What the samples are conditioned on, a row for each.
    pub condition: &'a Condition,
    /// The noise levels, falling or rising.
    pub levels: &'a Levels,
    /// What is done before each step, in this order; only where levels fall.
    pub before: Vec<Box<dyn BeforeStep + 'a>>,
}

impl Integration<'_> {
    /// Integrates `dx/dsigma` from the first level to the last.
    ///
    /// - `x`: the state at the first level, shape `[B, ...]`.
    /// - `watch`: sees the state after each step, and ends the way by an error, which is passed on.
    ///
    /// The level 0 is reached by an Euler step, which ends at the estimate itself, because the slope is not defined
    /// there (Karras et al. 2022, algorithm 1).
    ///
    /// # Errors
    ///
    /// Something done before steps where it has no meaning, failures of the model, and the error of `watch`.
    pub fn run(&self, mut x: Tensor, watch: &mut Watch) -> Result<Tensor> {
        if !self.before.is_empty() && (self.solver.adapts() || !self.levels.fall()) {
            bail!("something can be done before fixed steps down the noise levels only");
        }
        let samples: Vec<usize> = (0..x.dim(0)?).collect();
        let history = self.solver.history();
        let mut path = Path::new(self.denoiser, self.condition, history, watch);
        for (index, (from, to)) in self.stops().into_iter().enumerate() {
            let (mut x_hat, mut sigma_hat) = (x, from);
            for before in &self.before {
                (x_hat, sigma_hat) = before.before(index, x_hat, sigma_hat, &mut path)?;
            }
            let step = Step {
                x: x_hat,
                sigma: sigma_hat,
                sigma_next: to,
                num_steps: self.levels.num_steps(),
            };
            x = if to == 0.0 {
                let found = path.here(&step.x, sigma_hat)?;
                step.along(&found.slope)?
            } else {
                self.solver.step(&step, &mut path)?
            };
            if to == 0.0 || !self.solver.adapts() {
                path.show(&samples, &vec![to; samples.len()], &x)?;
            }
        }
        Ok(x)
    }

    /// Where each step begins and ends.
    fn stops(&self) -> Vec<(f64, f64)> {
        if self.solver.adapts() {
            let [first, last] = self.levels.ends();
            let rest = self.levels.ends_at_zero().then_some((last, 0.0));
            return [(first, last)].into_iter().chain(rest).collect();
        }
        let pairs = self.levels.as_slice().windows(2);
        pairs.map(|pair| (pair[0], pair[1])).collect()
    }
}
