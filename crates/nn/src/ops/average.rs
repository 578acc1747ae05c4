//! Moving averages of a weight, any number in one pass over memory.
//!
//! ```text
//! a_k = a_k + share_k (p - a_k)
//! ```

use candle_core::{Result, Var, bail};

use super::lend::lend;
use crate::host::values;
use crate::kernels::cpu::average;
use crate::kernels::is_fused;

/// An average and how far it moves towards its weight: 1 less its decay.
pub type MovingAverage<'a> = (&'a Var, f64);

/// Moves each of `averages` towards `weight`, in place on the CPU.
///
/// All are contiguous, of one shape, and each has storage of its own.
///
/// # Errors
///
/// Tensors of unlike shapes or that are not contiguous, and failures of the tensor backend.
pub fn move_averages(weight: &Var, averages: &[MovingAverage]) -> Result<()> {
    for (average, _) in averages {
        if average.shape() != weight.shape() {
            bail!(
                "an average of a weight has its shape {:?}, got {:?}",
                weight.shape(),
                average.shape()
            );
        }
    }
    if !is_fused(weight) {
        return averages
            .iter()
            .try_for_each(|(average, share)| composed(weight, average, *share));
    }
    let vars: Vec<&Var> = averages.iter().map(|(average, _)| *average).collect();
    let shares: Vec<f32> = averages.iter().map(|(_, share)| *share as f32).collect();
    let weight = values(weight)?;
    lend(&vars, |averages| {
        average::move_averages(&weight, averages, &shares);
    })
}

/// The same for one average by the backend's own operations.
fn composed(weight: &Var, average: &Var, share: f64) -> Result<()> {
    let (a, p) = (average.as_detached_tensor(), weight.as_detached_tensor());
    average.set(&(&a + ((p - &a)? * share)?)?)
}
