//! The square of a tensor's norm.

use candle_core::{DType, Result, Tensor};

use crate::host::values;
use crate::kernels::cpu::squared_norm as kernels;
use crate::kernels::is_fused;

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
    Ok(kernels::squared_norm(&values(&x)?))
}
