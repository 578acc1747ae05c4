//! The sigmoid linear unit.
//!
//! ```text
//! out = x sigmoid(x)
//! ```

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use crate::host::{output, slice, tensor, values};
use crate::kernels::cpu::elementwise::{map, map_pairs, silu as silu_of, silu_slope};
use crate::kernels::is_fused;
use crate::tape::apply1;

/// `x sigmoid(x)`, element by element.
///
/// # Errors
///
/// Failures of the tensor backend.
pub fn silu(x: &Tensor) -> Result<Tensor> {
    if is_fused(x) {
        apply1(&x.contiguous()?, Silu)
    } else {
        x.silu()
    }
}

struct Silu;

impl CustomOp1 for Silu {
    fn name(&self) -> &'static str {
        "silu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok(output(
            map(slice(x, layout)?, silu_of),
            layout.shape().clone(),
        ))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let gradient = map_pairs(&values(x)?, &values(&grad)?, |x, g| g * silu_slope(x));
        Ok(Some(tensor(gradient, x.shape())?))
    }
}
