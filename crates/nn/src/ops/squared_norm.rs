//! The square of a tensor's norm.

use candle_core::{DType, Result, Tensor};
use rayon::prelude::*;

use crate::host::values;
use crate::kernels::is_fused;

/// Elements that one task adds.
const PIECE: usize = 1 << 14;

/// The sum of the squares of `x`.
///
/// On the CPU it is taken in `f64` and in a fixed order, whatever the number of threads; a value that is infinite or
/// not a number makes the sum one.
///
/// # Errors
///
/// Failures of the tensor backend.
pub fn squared_norm(x: &Tensor) -> Result<f64> {
    if !is_fused(x) {
        let sum = x.sqr()?.sum_all()?.to_dtype(DType::F32)?;
        return Ok(f64::from(sum.to_scalar::<f32>()?));
    }
    let x = x.contiguous()?;
    let x = values(&x)?;
    let of_piece = |piece: &[f32]| -> f64 {
        let squares = piece
            .iter()
            .map(|&value| f64::from(value) * f64::from(value));
        squares.sum()
    };
    let sums: Vec<f64> = x.par_chunks(PIECE).map(of_piece).collect();
    Ok(sums.iter().sum())
}
