//! What a solver shows of its way.

use candle_core::{Result, Tensor};

/// Sees samples after a step: their places in the batch, noise levels and states `[samples, ...]`.
pub type Watch<'a> = dyn FnMut(&[usize], &[f64], &Tensor) -> Result<()> + 'a;

/// The path of one sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trajectory {
    /// The noise levels visited, highest first.
    pub sigma: Vec<f64>,
    /// The state at each of them, N values each.
    pub x: Vec<f64>,
}
