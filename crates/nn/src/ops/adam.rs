//! One step of Adam, and of the averages of its parameters, in one pass over memory.
//!
//! ```text
//! g = scale g                              a gradient that is clipped has a scale below 1
//! m = m + (1 - beta1) (g - m)              v = beta2 v + (1 - beta2) g²
//! p = keep p - rate m / (sqrt(v) + eps)
//! ```

use candle_core::{Result, Tensor, Var, bail};

use super::average::{MovingAverage, move_averages};
use super::lend::lend;
use crate::host::values;
use crate::kernels::cpu::adam::{Factors, State};
use crate::kernels::is_fused;

/// Factors of one step of Adam (Kingma and Ba 2015, arXiv:1412.6980).
#[derive(Debug, Clone, Copy)]
pub struct AdamStep {
    /// Decay of the mean of the gradients.
    pub beta1: f64,
    /// Decay of the mean of their squares.
    pub beta2: f64,
    /// Learning rate, corrected for the bias of both means.
    pub rate: f64,
    /// Added to the root of the second mean, corrected for its bias.
    pub eps: f64,
    /// Factor on the gradient; 1 for one that is not clipped.
    pub scale: f64,
    /// Share of the parameter that decoupled weight decay leaves of it; 1 without (arXiv:1711.05101).
    pub keep: f64,
}

/// One parameter with its state, all contiguous, of one shape, and each with storage of its own.
#[derive(Debug, Clone, Copy)]
pub struct AdamState<'a> {
    /// The parameter, `p`.
    pub weight: &'a Var,
    /// Mean of its gradients, `m`.
    pub m: &'a Var,
    /// Mean of their squares, `v`.
    pub v: &'a Var,
}

impl AdamStep {
    /// Takes one step along `grad`, in place on the CPU, and moves `averages` of the weight after it, as
    /// [`move_averages`] does.
    ///
    /// # Errors
    ///
    /// Tensors of unlike shapes or that are not contiguous, and failures of the tensor backend.
    pub fn apply(&self, state: AdamState, grad: &Tensor, averages: &[MovingAverage]) -> Result<()> {
        let averaged = averages.iter().map(|(average, _)| *average);
        for other in [state.m, state.v].into_iter().chain(averaged.clone()) {
            if other.shape() != state.weight.shape() {
                bail!(
                    "a step of Adam needs one shape, got {:?} beside {:?}",
                    other.shape(),
                    state.weight.shape()
                );
            }
        }
        if grad.shape() != state.weight.shape() {
            bail!(
                "a gradient {:?} for a weight {:?}",
                grad.shape(),
                state.weight.shape()
            );
        }
        if !is_fused(state.weight) {
            self.composed(state, grad)?;
            return move_averages(state.weight, averages);
        }
        let grad = grad.contiguous()?;
        let grad = values(&grad)?;
        let own = [state.weight, state.m, state.v];
        let vars: Vec<&Var> = own.into_iter().chain(averaged).collect();
        let shares: Vec<f32> = averages.iter().map(|(_, share)| *share as f32).collect();
        lend(&vars, |values| {
            if let [weight, m, v, averages @ ..] = values {
                let state = State { weight, m, v };
                self.factors().step(state, &grad, averages, &shares);
            }
        })
    }

    fn factors(&self) -> Factors {
        Factors {
            beta1: self.beta1 as f32,
            beta2: self.beta2 as f32,
            rate: self.rate as f32,
            eps: self.eps as f32,
            scale: self.scale as f32,
            keep: self.keep as f32,
        }
    }

    /// The same by the backend's own operations.
    fn composed(&self, state: AdamState, grad: &Tensor) -> Result<()> {
        let plain = Var::as_detached_tensor;
        let grad = &(grad * self.scale)?;
        let m = (plain(state.m) + ((grad - plain(state.m))? * (1.0 - self.beta1))?)?;
        let v = ((plain(state.v) * self.beta2)? + (grad.sqr()? * (1.0 - self.beta2))?)?;
        let step = ((&m * self.rate)? / (v.sqrt()? + self.eps)?)?;
        state
            .weight
            .set(&((plain(state.weight) * self.keep)? - step)?)?;
        state.m.set(&m)?;
        state.v.set(&v)
    }
}
