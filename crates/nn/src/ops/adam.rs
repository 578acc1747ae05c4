//! One step of Adam, and of the average of the weights, in one pass over memory.
//!
//! ```text
//! m = m + (1 - beta1) (g - m)              v = beta2 v + (1 - beta2) g²
//! p = p - rate m / (sqrt(v) + eps)         a = a + average (p - a)
//! ```

use std::cell::RefCell;

use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Tensor, Var, bail};

use crate::host::values;
use crate::kernels::cpu::adam::{Factors, State};
use crate::kernels::is_fused;

/// Factors of one step of Adam (Kingma and Ba 2015, arXiv:1412.6980) and of an exponential average.
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
    /// How far the average moves towards the weights: 1 less its decay.
    pub average: f64,
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
    /// Its average, `a`.
    pub average: &'a Var,
}

impl AdamStep {
    /// Takes one step along `grad`, in place on the CPU.
    ///
    /// # Errors
    ///
    /// Tensors of unlike shapes or that are not contiguous, and failures of the tensor backend.
    pub fn apply(&self, state: AdamState, grad: &Tensor) -> Result<()> {
        for other in [state.m, state.v, state.average] {
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
            return self.composed(state, grad);
        }
        let grad = grad.contiguous()?;
        let grad = values(&grad)?;
        with_values(state.weight, |weight| {
            with_values(state.m, |m| {
                with_values(state.v, |v| {
                    with_values(state.average, |average| {
                        let state = State {
                            weight,
                            m,
                            v,
                            average,
                        };
                        self.factors().step(state, &grad);
                        Ok(())
                    })
                })
            })
        })
    }

    fn factors(&self) -> Factors {
        Factors {
            beta1: self.beta1 as f32,
            beta2: self.beta2 as f32,
            rate: self.rate as f32,
            eps: self.eps as f32,
            average: self.average as f32,
        }
    }

    /// The same by the backend's own operations.
    fn composed(&self, state: AdamState, grad: &Tensor) -> Result<()> {
        let plain = Var::as_detached_tensor;
        let m = (plain(state.m) + ((grad - plain(state.m))? * (1.0 - self.beta1))?)?;
        let v = ((plain(state.v) * self.beta2)? + (grad.sqr()? * (1.0 - self.beta2))?)?;
        let step = ((&m * self.rate)? / (v.sqrt()? + self.eps)?)?;
        state.weight.set(&(plain(state.weight) - step)?)?;
        state.m.set(&m)?;
        state.v.set(&v)?;
        move_average(state.average, state.weight, self.average)
    }
}

/// Moves `average` towards `weight`: `a = a + share (p - a)`.
///
/// # Errors
///
/// Failures of the tensor backend.
pub fn move_average(average: &Var, weight: &Var, share: f64) -> Result<()> {
    let (a, p) = (average.as_detached_tensor(), weight.as_detached_tensor());
    average.set(&(&a + ((p - &a)? * share)?)?)
}

/// Lends the values of a contiguous `f32` variable in main memory.
fn with_values(var: &Var, f: impl FnOnce(&mut [f32]) -> Result<()>) -> Result<()> {
    let op = Lend(RefCell::new(Some(f)));
    var.as_tensor().inplace_op1(&op)
}

/// An in-place operation that can be done once.
struct Lend<F>(RefCell<Option<F>>);

impl<F: FnOnce(&mut [f32]) -> Result<()>> InplaceOp1 for Lend<F> {
    fn name(&self) -> &'static str {
        "lend"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        match (storage, layout.contiguous_offsets(), self.0.take()) {
            (CpuStorage::F32(values), Some((from, to)), Some(f)) => f(&mut values[from..to]),
            _ => bail!("an update in place needs contiguous f32 values, got {layout:?}"),
        }
    }
}
