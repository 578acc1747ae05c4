//! The best few noise levels for a model and a solver.

use candle_core::{Result, Tensor};
use pfgmpp_kernel::{Condition, ConditionSpec, Denoiser, Query, in_f64};
use pfgmpp_transfer::{Levels, ParameterError};

use crate::{Integration, Path, Solver, Step};

/// A search for the K levels over which a solver strays least from a model's own trajectories.
///
/// Trajectories are followed over a fine grid of levels first. Then every step that the solver might take from one level
/// of the grid to a lower one is taken from the trajectory itself, with the estimates that the trajectory met, and its
/// error is measured at its end. What a solver remembers of the step before enters, so that the levels suit multistep
/// methods too; what it remembers of earlier ones does not. The sum of the errors, each by what it comes to in the data, is an upper bound on the error at the end
/// where errors add up in one direction; dynamic programming finds the levels of the smallest sum.
///
/// ```text
/// cost(i, j, k) = (m2 / (m2 + sigma_k²))^(1/2) rms(x_k - step(x_j; levels i, j, k))
/// ```
///
/// with m2 the mean square of the trajectories' ends about their mean: what is left of a small displacement at `sigma_k` once it has
/// followed the flow of Gaussian data. The idea of choosing levels so is that of Chen et al. 2024, arXiv:2405.11326. The
/// slope is the same function of the estimate at every D, so all of it is.
#[derive(Clone, Copy, Debug)]
pub struct LevelSearch<'a> {
    /// The method that the levels are for.
    pub solver: &'a dyn Solver,
    /// The fine grid, falling; the last level above 0 is the lowest that may be chosen.
    pub grid: &'a Levels,
}

/// Trajectories on the levels of a grid.
pub struct GridTrajectories {
    sigma: Vec<f64>,
    /// States at each level, shape `[B, ...]`.
    x: Vec<Tensor>,
    /// Estimates at each level, shape `[B, ...]`.
    denoised: Vec<Tensor>,
    /// Mean square of the ends about their mean, in squared units of the data.
    second_moment: f64,
}

impl GridTrajectories {
    /// Follows the ODE from `x` `[B, ...]` at the highest level of `grid` by `solver`.
    ///
    /// # Errors
    ///
    /// Failures of the model, and a solver that chooses its steps.
    pub fn follow(
        solver: &dyn Solver,
        denoiser: &dyn Denoiser,
        condition: &Condition,
        grid: &Levels,
        x: Tensor,
    ) -> Result<Self> {
        if solver.adapts() {
            candle_core::bail!("trajectories on a grid need a solver of fixed steps");
        }
        let sigma: Vec<f64> = grid
            .as_slice()
            .iter()
            .copied()
            .filter(|s| *s > 0.0)
            .collect();
        let mut states = vec![x.clone()];
        let way = Integration {
            solver,
            denoiser,
            condition,
            levels: grid,
            before: Vec::new(),
        };
        way.run(x, &mut |_, _, x| {
            states.push(x.clone());
            Ok(())
        })?;
        states.truncate(sigma.len());
        let mut denoised: Vec<Tensor> = Vec::with_capacity(states.len());
        for (x, &sigma) in states.iter().zip(&sigma) {
            let sigma = vec![sigma; x.dim(0)?];
            let query = Query::new(x, &sigma).under(condition);
            denoised.push(denoiser.denoise(&query.near(denoised.last()))?);
        }
        let ends = in_f64(&denoised[denoised.len() - 1])?;
        let about_mean = ends.broadcast_sub(&ends.mean_keepdim(0)?)?;
        Ok(Self {
            second_moment: about_mean.sqr()?.mean_all()?.to_scalar::<f64>()?.max(1e-12),
            denoised,
            x: states,
            sigma,
        })
    }

    /// Where the trajectories end: the estimates at the lowest level, shape `[B, ...]`.
    #[must_use]
    pub fn end(&self) -> &Tensor {
        &self.denoised[self.denoised.len() - 1]
    }
}

/// Answers with the estimates that trajectories met, whatever the state; between levels with what lies between, linear
/// in ln sigma.
struct Met<'a>(&'a GridTrajectories);

impl Denoiser for Met<'_> {
    fn takes(&self) -> ConditionSpec {
        ConditionSpec::NONE
    }

    fn denoise(&self, query: &Query) -> Result<Tensor> {
        let (sigma, denoised, asked) = (&self.0.sigma, &self.0.denoised, query.sigma[0]);
        let below = sigma.partition_point(|s| *s > asked).min(sigma.len() - 1);
        if below == 0 || sigma[below] == asked {
            return Ok(denoised[below].clone());
        }
        let share = (asked / sigma[below]).ln() / (sigma[below - 1] / sigma[below]).ln();
        (&denoised[below - 1] * share)? + (&denoised[below] * (1.0 - share))?
    }
}

impl LevelSearch<'_> {
    /// Checks that `num_steps` levels can be chosen for the solver.
    ///
    /// # Errors
    ///
    /// A solver that chooses its own steps; fewer than 2 steps, or more than the grid has levels.
    pub fn check(&self, num_steps: usize) -> std::result::Result<(), ParameterError> {
        if self.solver.adapts() {
            let accepted = "one of fixed steps: this one chooses its levels itself";
            return Err(ParameterError::new(
                "solver",
                format!("{:?}", self.solver),
                accepted,
            ));
        }
        let most = self.grid.as_slice().iter().filter(|s| **s > 0.0).count();
        ParameterError::counted("num_steps", num_steps as u64, 2, most as u64)
    }

    /// The best levels for `num_steps` steps, the last of which reaches 0.
    ///
    /// # Errors
    ///
    /// Failures of the tensor backend.
    pub fn find(&self, met: &GridTrajectories, num_steps: usize) -> Result<Vec<f64>> {
        let last = met.sigma.len() - 1;
        let ends: Result<Vec<f64>> = (0..=last).map(|j| self.end_cost(met, j)).collect();
        let ends = ends?;
        // Of each pair (level before, level), the smallest sum of errors up to the level and the level that came before.
        let mut best = vec![vec![f64::INFINITY; last + 1]; last + 1];
        let mut from: Vec<Vec<Vec<usize>>> = Vec::new();
        for (k, sum) in best[0].iter_mut().enumerate().skip(1) {
            *sum = self.cost(met, None, 0, k)?;
        }
        let mut costs = Costs::new(last + 1);
        for _ in 2..num_steps {
            let mut next = vec![vec![f64::INFINITY; last + 1]; last + 1];
            let mut came = vec![vec![0; last + 1]; last + 1];
            let rows = next.iter_mut().zip(&mut came).enumerate();
            for (j, (sums, came)) in rows.take(last).skip(1) {
                for (k, (sum, came)) in sums.iter_mut().zip(came).enumerate().skip(j + 1) {
                    for (i, before) in best.iter().map(|row| row[j]).enumerate().take(j) {
                        if before.is_infinite() {
                            continue;
                        }
                        let cost = costs.get((i, j, k), || self.cost(met, Some(i), j, k))?;
                        if before + cost < *sum {
                            (*sum, *came) = (before + cost, i);
                        }
                    }
                }
            }
            best = next;
            from.push(came);
        }
        let pairs = (0..last).flat_map(|j| (j + 1..=last).map(move |k| (j, k)));
        let total = |&(j, k): &(usize, usize)| best[j][k] + ends[k];
        let Some((mut j, mut k)) = pairs.min_by(|a, b| total(a).total_cmp(&total(b))) else {
            candle_core::bail!("the grid has too few levels");
        };
        let mut chosen = vec![k, j];
        for came in from.iter().rev() {
            (j, k) = (came[j][k], j);
            chosen.push(j);
        }
        let mut levels: Vec<f64> = chosen.iter().rev().map(|&i| met.sigma[i]).collect();
        levels.push(0.0);
        Ok(levels)
    }

    /// Error of the step from level `j` to `k` where the step before began at `i`.
    fn cost(&self, met: &GridTrajectories, i: Option<usize>, j: usize, k: usize) -> Result<f64> {
        let (denoiser, mut watch) = (Met(met), |_: &[usize], _: &[f64], _: &Tensor| Ok(()));
        let none = Condition::unconditional();
        let mut path = Path::new(&denoiser, none, self.solver.history(), &mut watch);
        let step = |from: usize, to: usize| Step {
            x: met.x[from].clone(),
            sigma: met.sigma[from],
            sigma_next: met.sigma[to],
            num_steps: 0,
        };
        if let Some(i) = i {
            // For what the solver remembers of it.
            self.solver.step(&step(i, j), &mut path)?;
        }
        let reached = self.solver.step(&step(j, k), &mut path)?;
        let left = met.second_moment / (met.second_moment + met.sigma[k].powi(2));
        Ok(left.sqrt() * rms(&reached, &met.x[k])?)
    }

    /// Error of the step from level `j` to 0.
    fn end_cost(&self, met: &GridTrajectories, j: usize) -> Result<f64> {
        rms(&met.denoised[j], met.end())
    }
}

/// Costs that were worked out before.
struct Costs {
    levels: usize,
    known: Vec<f64>,
}

impl Costs {
    fn new(levels: usize) -> Self {
        let known = vec![f64::NAN; levels.pow(3)];
        Self { levels, known }
    }

    fn get(
        &mut self,
        (i, j, k): (usize, usize, usize),
        work_out: impl FnOnce() -> Result<f64>,
    ) -> Result<f64> {
        let known = &mut self.known[(i * self.levels + j) * self.levels + k];
        if known.is_nan() {
            *known = work_out()?;
        }
        Ok(*known)
    }
}

/// Root of the mean squared difference of two batches.
fn rms(a: &Tensor, b: &Tensor) -> Result<f64> {
    let square = in_f64(&(a - b)?)?.sqr()?.mean_all()?;
    Ok(square.to_scalar::<f64>()?.sqrt())
}
