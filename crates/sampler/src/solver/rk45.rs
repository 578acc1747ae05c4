//! The adaptive method of Dormand and Prince, each sample at its own pace.

use candle_core::{Result, Tensor, bail};
use pfgmpp_kernel::in_f64;
use pfgmpp_transfer::{Levels, ParameterError};

use super::{Solver, Step};
use crate::Path;
use pfgmpp_kernel::column;

/// The tableau of Dormand and Prince 1980, "A family of embedded Runge-Kutta formulae", table 2: nodes,
/// stage weights, and fifth-order weights less fourth-order ones.
const NODES: [f64; 6] = [0.2, 0.3, 0.8, 8.0 / 9.0, 1.0, 1.0];
const STAGES: [&[f64]; 6] = [
    &[0.2],
    &[3.0 / 40.0, 9.0 / 40.0],
    &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
    &[
        19372.0 / 6561.0,
        -25360.0 / 2187.0,
        64448.0 / 6561.0,
        -212.0 / 729.0,
    ],
    &[
        9017.0 / 3168.0,
        -355.0 / 33.0,
        46732.0 / 5247.0,
        49.0 / 176.0,
        -5103.0 / 18656.0,
    ],
    &[
        35.0 / 384.0,
        0.0,
        500.0 / 1113.0,
        125.0 / 192.0,
        -2187.0 / 6784.0,
        11.0 / 84.0,
    ],
];
const ERROR: [f64; 7] = [
    71.0 / 57600.0,
    0.0,
    -71.0 / 16695.0,
    71.0 / 1920.0,
    -17253.0 / 339_200.0,
    22.0 / 525.0,
    -1.0 / 40.0,
];

/// Bounds of the growth of a step, and the share of the estimated best step that is taken.
const SHRINK: f64 = 0.2;
const GROW: f64 = 5.0;
const SAFETY: f64 = 0.9;
/// Steps in `ln sigma` below which rounding drowns what a step does.
const SMALLEST: f64 = 1e-12;
/// Attempted steps before a problem counts as one that cannot be solved to its tolerance.
const MAX_STEPS: usize = 10_000;

/// The fifth-order method of Dormand and Prince, whose steps follow the estimated error.
///
/// The variable is `ln sigma`, where the slope is `sigma dx/dsigma`. A sample has a step size of its own, so that it
/// does not depend on its batch, and leaves the batch when it is done. The error of a step is the root of the
/// mean of `(error / (atol + rtol |x|))²` over the sample's values. Takes six evaluations per step, and one
/// at the start; the first step tried is a `num_steps`-th of the whole in `ln sigma`. The state should be `f64`.
/// A sample that needs more than 10,000 steps, or steps smaller than rounding, as one does whose slope is not a
/// number, is an error. Source: Dormand and Prince 1980; original PFGM samples with it (Xu et al. 2022, section 3.3).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rk45 {
    /// Tolerance relative to the size of each value.
    pub rtol: f64,
    /// Tolerance in units of the data.
    pub atol: f64,
}

impl Solver for Rk45 {
    fn order(&self) -> usize {
        5
    }

    fn evaluations(&self, _: &Levels) -> Option<usize> {
        None
    }

    fn adapts(&self) -> bool {
        true
    }

    fn check(&self) -> std::result::Result<(), ParameterError> {
        ParameterError::within("rtol", self.rtol, 1e-12, 1.0)?;
        ParameterError::within("atol", self.atol, 1e-12, 1.0)
    }

    fn step(&self, step: &Step, path: &mut Path) -> Result<Tensor> {
        let (x, batch) = (step.x.clone(), step.x.dim(0)?);
        let end = End {
            t: step.sigma_next.ln(),
            falls: step.sigma_next < step.sigma,
        };
        let h = (step.sigma_next / step.sigma).ln() / step.num_steps as f64;
        let (samples, t): (Vec<usize>, _) = ((0..batch).collect(), vec![step.sigma.ln(); batch]);
        let first = Stage::at(path, &samples, &x, &t, None)?;
        let h = vec![h; batch];
        let mut active = Active {
            samples,
            t,
            h,
            x,
            first,
        };
        let mut done: Vec<Option<Tensor>> = vec![None; batch];
        for _ in 0..MAX_STEPS {
            active.attempt(path, end, *self)?;
            active.release(end, &mut done)?;
            if active.samples.is_empty() {
                let rows: Vec<Tensor> = done.into_iter().flatten().collect();
                return Tensor::stack(&rows, 0);
            }
        }
        bail!(
            "rk45 did not reach sigma = {} within {MAX_STEPS} steps: raise its rtol = {} and atol = {}",
            step.sigma_next,
            self.rtol,
            self.atol
        )
    }
}

/// Where the way ends, in `ln sigma`, and which way that is.
#[derive(Clone, Copy)]
struct End {
    t: f64,
    falls: bool,
}

impl End {
    /// A step from `t` that goes no further than the end.
    fn cut(self, t: f64, h: f64) -> f64 {
        if self.falls {
            h.max(self.t - t)
        } else {
            h.min(self.t - t)
        }
    }

    /// `t`, and no further than the end.
    fn held(self, t: f64) -> f64 {
        if self.falls {
            t.max(self.t)
        } else {
            t.min(self.t)
        }
    }

    fn is_reached(self, t: f64) -> bool {
        if self.falls {
            t <= self.t
        } else {
            t >= self.t
        }
    }
}

/// One evaluation: `dx/dt`, `t = ln sigma`, and the estimate that it follows from.
struct Stage {
    k: Tensor,
    denoised: Tensor,
}

impl Stage {
    fn at(
        path: &Path,
        samples: &[usize],
        x: &Tensor,
        t: &[f64],
        guess: Option<&Tensor>,
    ) -> Result<Self> {
        let sigma: Vec<f64> = t.iter().map(|t| t.exp()).collect();
        let found = path.evaluate_some(samples, x, &sigma, guess)?;
        Ok(Self {
            k: found.slope.broadcast_mul(&column(&sigma, x)?)?,
            denoised: found.denoised,
        })
    }

    fn rows(&self, index: &Tensor) -> Result<Self> {
        Ok(Self {
            k: self.k.index_select(index, 0)?,
            denoised: self.denoised.index_select(index, 0)?,
        })
    }
}

/// The samples that are still on their way.
struct Active {
    /// Their places in the batch.
    samples: Vec<usize>,
    t: Vec<f64>,
    h: Vec<f64>,
    x: Tensor,
    /// The slope at `x`, which is the last stage of the step before.
    first: Stage,
}

impl Active {
    /// Tries one step of every sample, and takes those that are accurate enough.
    fn attempt(&mut self, path: &mut Path, end: End, tolerance: Rk45) -> Result<()> {
        let steps = self.t.iter().zip(&self.h);
        let h: Vec<f64> = steps.map(|(t, h)| end.cut(*t, *h)).collect();
        let step = column(&h, &self.x)?;
        let mut k = vec![self.first.k.clone()];
        let mut guess = self.first.denoised.clone();
        let mut x_new = self.x.clone();
        for (node, weights) in NODES.iter().zip(STAGES) {
            x_new = (&self.x + combine(&k, weights)?.broadcast_mul(&step)?)?;
            let t: Vec<f64> = self.t.iter().zip(&h).map(|(t, h)| t + node * h).collect();
            let stage = Stage::at(path, &self.samples, &x_new, &t, Some(&guess))?;
            k.push(stage.k);
            guess = stage.denoised;
        }
        let error = combine(&k, &ERROR)?.broadcast_mul(&step)?;
        let errors = self.norms(&error, &x_new, tolerance)?;
        let last = Stage {
            k: k.pop().expect("there are seven stages"),
            denoised: guess,
        };
        let accepted: Vec<bool> = errors.iter().map(|error| *error <= 1.0).collect();
        for (i, error) in errors.iter().enumerate() {
            if accepted[i] {
                // Exactly the end, where the step was cut to reach it.
                self.t[i] = if h[i] == self.h[i] {
                    end.held(self.t[i] + h[i])
                } else {
                    end.t
                };
            }
            // An error that is not a number shrinks the step as the largest would.
            let factor =
                (SAFETY * error.powf(-0.2)).clamp(SHRINK, if accepted[i] { GROW } else { 1.0 });
            self.h[i] = h[i] * if factor.is_nan() { SHRINK } else { factor };
        }
        let stuck = |(h, accepted): (&f64, &bool)| !accepted && h.abs() < SMALLEST;
        if let Some(i) = self.h.iter().zip(&accepted).position(stuck) {
            bail!(
                "rk45 finds no step at sigma = {} for sample {} of the batch: its slope is not a number, or jumps",
                self.t[i].exp(),
                self.samples[i]
            );
        }
        self.take(&accepted, x_new, last)?;
        self.report(&accepted, path)
    }

    /// The scaled error of each sample.
    fn norms(&self, error: &Tensor, x_new: &Tensor, tolerance: Rk45) -> Result<Vec<f64>> {
        let size = self.x.abs()?.maximum(&x_new.abs()?)?;
        let scale = ((size * tolerance.rtol)? + tolerance.atol)?;
        let scaled = (error / scale)?.sqr()?.flatten_from(1)?.mean(1)?;
        in_f64(&scaled.sqrt()?)?.to_vec1()
    }

    /// Moves the accepted samples.
    fn take(&mut self, accepted: &[bool], x_new: Tensor, last: Stage) -> Result<()> {
        if accepted.iter().all(|accepted| *accepted) {
            (self.x, self.first) = (x_new, last);
            return Ok(());
        }
        // Rows of old and new side by side, one of the two for each sample.
        let old = accepted.len();
        let index = accepted.iter().enumerate();
        let index = index.map(|(i, accepted)| (if *accepted { old + i } else { i }) as i64);
        let index = Tensor::from_iter(index, self.x.device())?;
        let pick = |a: &Tensor, b: &Tensor| Tensor::cat(&[a, b], 0)?.index_select(&index, 0);
        self.first = Stage {
            k: pick(&self.first.k, &last.k)?,
            denoised: pick(&self.first.denoised, &last.denoised)?,
        };
        self.x = pick(&self.x, &x_new)?;
        Ok(())
    }

    fn report(&self, accepted: &[bool], path: &mut Path) -> Result<()> {
        let moved: Vec<usize> = (0..accepted.len()).filter(|&i| accepted[i]).collect();
        if moved.is_empty() {
            return Ok(());
        }
        let samples: Vec<usize> = moved.iter().map(|&i| self.samples[i]).collect();
        let sigma: Vec<f64> = moved.iter().map(|&i| self.t[i].exp()).collect();
        let index = Tensor::from_iter(moved.iter().map(|&i| i as i64), self.x.device())?;
        path.show(&samples, &sigma, &self.x.index_select(&index, 0)?)
    }

    /// Puts the samples that have reached the end into `done`.
    fn release(&mut self, end: End, done: &mut [Option<Tensor>]) -> Result<()> {
        let (arrived, left): (Vec<usize>, Vec<usize>) =
            (0..self.t.len()).partition(|&i| end.is_reached(self.t[i]));
        for &i in &arrived {
            done[self.samples[i]] = Some(self.x.get(i)?);
        }
        if arrived.is_empty() || left.is_empty() {
            if left.is_empty() {
                self.samples.clear();
            }
            return Ok(());
        }
        let index = Tensor::from_iter(left.iter().map(|&i| i as i64), self.x.device())?;
        self.samples = left.iter().map(|&i| self.samples[i]).collect();
        self.t = left.iter().map(|&i| self.t[i]).collect();
        self.h = left.iter().map(|&i| self.h[i]).collect();
        self.x = self.x.index_select(&index, 0)?;
        self.first = self.first.rows(&index)?;
        Ok(())
    }
}

/// `Σ weights_i k_i`.
fn combine(k: &[Tensor], weights: &[f64]) -> Result<Tensor> {
    let mut sum: Option<Tensor> = None;
    for (k, &weight) in k.iter().zip(weights).filter(|(_, weight)| **weight != 0.0) {
        let term = (k * weight)?;
        sum = Some(match sum {
            None => term,
            Some(sum) => (sum + term)?,
        });
    }
    sum.map_or_else(|| k[0].zeros_like(), Ok)
}

#[cfg(test)]
mod tests {
    use super::Rk45;

    #[test]
    fn rk45_keeps_what_it_declares() {
        let (rtol, atol) = (1e-7, 1e-7);
        crate::conformance::holds(&Rk45 { rtol, atol });
    }
}
