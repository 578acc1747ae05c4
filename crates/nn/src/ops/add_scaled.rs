//! The end of a residual branch.
//!
//! ```text
//! out = scale (a + b)
//! ```

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};

use crate::host::{output, slice, tensor, values};
use crate::kernels::cpu::elementwise::{map, map_pairs};
use crate::kernels::is_fused;
use crate::tape::apply2;

/// `scale (a + b)` for tensors of one shape.
///
/// # Errors
///
/// Different shapes.
pub fn add_scaled(a: &Tensor, b: &Tensor, scale: f64) -> Result<Tensor> {
    if a.shape() != b.shape() {
        bail!(
            "a scaled sum needs equal shapes, got {:?} and {:?}",
            a.shape(),
            b.shape()
        );
    }
    if is_fused(a) && is_fused(b) {
        return apply2(
            &a.contiguous()?,
            &b.contiguous()?,
            AddScaled {
                scale: scale as f32,
            },
        );
    }
    (a + b)? * scale
}

struct AddScaled {
    scale: f32,
}

impl CustomOp2 for AddScaled {
    fn name(&self) -> &'static str {
        "add_scaled"
    }

    fn cpu_fwd(
        &self,
        a: &CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let scale = self.scale;
        let out = map_pairs(slice(a, a_layout)?, slice(b, b_layout)?, |a, b| {
            scale * (a + b)
        });
        Ok(output(out, a_layout.shape().clone()))
    }

    fn bwd(
        &self,
        a: &Tensor,
        _: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let scale = self.scale;
        let gradient = tensor(map(&values(&grad)?, |g| scale * g), a.shape())?;
        Ok((Some(gradient.clone()), Some(gradient)))
    }
}
