//! The samples that are still on their way, each at a noise level and with a step of its own.

use candle_core::{Result, Tensor};

use super::tableau::{A, C, E};
use super::{Rk45, Rk45Error};
use crate::Slope;
use crate::observer::Stop;
use crate::state::column;

/// Share of the step that the error estimate allows: a little less, because it is an estimate.
const SAFETY: f64 = 0.9;
/// Bounds of the change from one step to the next.
const SLOWEST: f64 = 0.2;
const FASTEST: f64 = 5.0;
/// A step in `ln sigma` below this is lost in the rounding of sigma.
const SMALLEST_STEP: f64 = 1e-12;

/// One sample's place on the axis `ln sigma`.
#[derive(Clone, Copy)]
struct Position {
    /// Position in the whole batch.
    sample: usize,
    ln_sigma: f64,
    /// Length of the next trial step in `ln sigma`.
    step: f64,
    /// Whether the last trial was refused.
    was_refused: bool,
}

/// One trial step of every sample.
struct Trial {
    /// Fifth-order solution, `[K, ...]`.
    x: Tensor,
    /// `sigma dx/dsigma` there.
    k: Tensor,
    /// Error of each sample in units of the tolerance.
    error: Vec<f64>,
}

pub(super) struct Batch<S> {
    slope: S,
    /// The states, `[K, ...]`.
    x: Tensor,
    /// `sigma dx/dsigma` at the states, `[K, ...]`.
    k: Tensor,
    /// The last estimates of `E[y | x]`, `[K, ...]`.
    denoised: Tensor,
    positions: Vec<Position>,
    sigma_min: f64,
}

impl<S: Slope> Batch<S> {
    /// All samples of `x` `[B, ...]` at `sigma_max`, with the slopes there.
    pub(super) fn start(
        slope: &S,
        x: Tensor,
        sigma_max: f64,
        sigma_min: f64,
        step: f64,
    ) -> Result<Self> {
        let num_samples = x.dim(0)? as u32;
        let slope = slope.select(&Tensor::arange(0, num_samples, x.device())?)?;
        let at_max = slope.slope(&x, &vec![sigma_max; num_samples as usize], None)?;
        let position = |sample| Position {
            sample,
            ln_sigma: sigma_max.ln(),
            step,
            was_refused: false,
        };
        Ok(Self {
            slope,
            x,
            k: (at_max.slope * sigma_max)?,
            denoised: at_max.denoised,
            positions: (0..num_samples as usize).map(position).collect(),
            sigma_min,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// The states of the samples on their way, `[K, ...]`.
    pub(super) fn x(&self) -> &Tensor {
        &self.x
    }

    /// The samples whose last trial was good.
    pub(super) fn moved(&self) -> Vec<Stop> {
        let rows = self.positions.iter().enumerate();
        let moved = rows.filter(|(_, position)| !position.was_refused);
        let stop = |(row, position): (usize, &Position)| Stop {
            row,
            sample: position.sample,
            sigma: self.sigma(position),
        };
        moved.map(stop).collect()
    }

    /// A sample's noise level, at the end exactly the configured one.
    fn sigma(&self, position: &Position) -> f64 {
        if position.ln_sigma > self.sigma_min.ln() {
            position.ln_sigma.exp()
        } else {
            self.sigma_min
        }
    }

    /// The sample at `index` of those on their way, and its noise level.
    pub(super) fn position(&self, index: usize) -> (usize, f64) {
        let position = &self.positions[index];
        (position.sample, position.ln_sigma.exp())
    }

    /// Tries one step of every sample, and moves those whose error is within the tolerance.
    pub(super) fn advance(&mut self, tolerance: &Rk45) -> Result<()> {
        let end = self.sigma_min.ln();
        for position in &mut self.positions {
            let rest = position.ln_sigma - end;
            // Not a sliver short of the end, which would be a step of its own.
            if position.step > 0.99 * rest {
                position.step = rest;
            }
        }
        let trial = self.try_step(tolerance)?;
        let mut moves = Vec::with_capacity(self.positions.len());
        for (position, &error) in self.positions.iter_mut().zip(&trial.error) {
            let is_good = error <= 1.0;
            if is_good {
                // The very end, whatever the difference of the logarithms is rounded to.
                let rest = position.ln_sigma - end;
                let next = position.ln_sigma - position.step;
                position.ln_sigma = if position.step == rest { end } else { next };
            }
            position.step *= growth(error, position.was_refused);
            position.was_refused = !is_good;
            moves.push(is_good);
            if !is_good && position.step < SMALLEST_STEP {
                let (sample, sigma) = (position.sample, position.ln_sigma.exp());
                return Err(Rk45Error::NoStep { sample, sigma }.into());
            }
        }
        self.x = choose(&moves, &trial.x, &self.x)?;
        self.k = choose(&moves, &trial.k, &self.k)?;
        Ok(())
    }

    /// The stages of one step, each sample by its own length.
    fn try_step(&mut self, tolerance: &Rk45) -> Result<Trial> {
        let steps: Vec<f64> = self.positions.iter().map(|p| -p.step).collect();
        let h = column(&steps, &self.x)?;
        let mut k = vec![self.k.clone()];
        let mut x = self.x.clone();
        for (weights, c) in A.iter().zip(C) {
            x = (&self.x + combine(weights, &k)?.broadcast_mul(&h)?)?;
            let sigma = self.positions.iter().map(|p| {
                let sigma = (p.ln_sigma - c * p.step).exp();
                // Never below the end by a rounding.
                sigma.max(self.sigma_min)
            });
            let sigma: Vec<f64> = sigma.collect();
            let stage = self.slope.slope(&x, &sigma, Some(&self.denoised))?;
            k.push(stage.slope.broadcast_mul(&column(&sigma, &x)?)?);
            self.denoised = stage.denoised;
        }
        let error = combine(&E, &k)?.broadcast_mul(&h)?;
        let error = relative_rms(&error, &self.x, &x, tolerance)?;
        let k = k.swap_remove(6);
        Ok(Trial { x, k, error })
    }

    /// Removes the samples that have reached `sigma_min`: for each its place in the whole batch, its
    /// state, and the state that an Euler step from there to 0 gives.
    pub(super) fn take_finished(&mut self) -> Result<Vec<(usize, Tensor, Tensor)>> {
        let end = self.sigma_min.ln();
        let (mut finished, mut left) = (Vec::new(), Vec::new());
        for (row, position) in self.positions.iter().enumerate() {
            if position.ln_sigma > end {
                left.push(row as u32);
                continue;
            }
            let x = self.x.get(row)?;
            // x + (0 - sigma) dx/dsigma, with k = sigma dx/dsigma.
            let at_zero = (&x - self.k.get(row)?)?;
            finished.push((position.sample, x, at_zero));
        }
        if !finished.is_empty() {
            self.positions.retain(|p| p.ln_sigma > end);
            if !left.is_empty() {
                self.select(left)?;
            }
        }
        Ok(finished)
    }

    fn select(&mut self, rows: Vec<u32>) -> Result<()> {
        let rows = Tensor::new(rows, self.x.device())?;
        self.slope = self.slope.select(&rows)?;
        self.x = self.x.index_select(&rows, 0)?;
        self.k = self.k.index_select(&rows, 0)?;
        self.denoised = self.denoised.index_select(&rows, 0)?;
        Ok(())
    }
}

/// The next step by the last, for a local error of order 5.
fn growth(error: f64, was_refused: bool) -> f64 {
    let fastest = if was_refused { 1.0 } else { FASTEST };
    if error.is_nan() {
        return SLOWEST;
    }
    (SAFETY * error.powf(-0.2)).clamp(SLOWEST, fastest)
}

/// `Σ weights[i] k[i]`.
fn combine(weights: &[f64], k: &[Tensor]) -> Result<Tensor> {
    let mut sum = (&k[0] * weights[0])?;
    for (k, &weight) in k[1..].iter().zip(&weights[1..]) {
        if weight != 0.0 {
            sum = (sum + (k * weight)?)?;
        }
    }
    Ok(sum)
}

/// Rows of `new` where `is_new`, of `old` elsewhere; by choice, not arithmetic, for a refused row
/// may hold NaN.
fn choose(is_new: &[bool], new: &Tensor, old: &Tensor) -> Result<Tensor> {
    if is_new.iter().all(|&new| new) {
        return Ok(new.clone());
    }
    let mut shape = vec![1; new.rank()];
    shape[0] = is_new.len();
    let mask: Vec<u8> = is_new.iter().map(|&new| u8::from(new)).collect();
    let mask = Tensor::from_vec(mask, shape, new.device())?;
    mask.broadcast_as(new.dims())?.where_cond(new, old)
}

/// The root mean square over a sample's values of its error in units of the tolerance.
fn relative_rms(error: &Tensor, x: &Tensor, next: &Tensor, tolerance: &Rk45) -> Result<Vec<f64>> {
    let scale = x.abs()?.maximum(&next.abs()?)?;
    let scale = scale.affine(tolerance.rtol, tolerance.atol)?;
    let ratio = (error / scale)?.to_dtype(candle_core::DType::F64)?;
    let mean = ratio.sqr()?.flatten_from(1)?.mean(1)?;
    Ok(mean.to_vec1::<f64>()?.into_iter().map(f64::sqrt).collect())
}
