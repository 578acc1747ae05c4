//! Products with constant masks.
//!
//! ```text
//! out = x mask
//! ```

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use crate::host::{output, slice, tensor, values};
use crate::kernels::cpu::elementwise::map_pairs;
use crate::kernels::is_fused;
use crate::tape::apply2;

/// `x mask`, element by element; the mask has the shape of `x` and receives no gradient.
pub(crate) fn scale_by(x: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let mask = mask.detach();
    if is_fused(x) && is_fused(&mask) && x.shape() == mask.shape() {
        return apply2(&x.contiguous()?, &mask.contiguous()?, ScaleBy);
    }
    x * mask
}

struct ScaleBy;

impl CustomOp2 for ScaleBy {
    fn name(&self) -> &'static str {
        "scale_by"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        mask: &CpuStorage,
        mask_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let out = map_pairs(slice(x, x_layout)?, slice(mask, mask_layout)?, |x, m| x * m);
        Ok(output(out, x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        mask: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let gradient = map_pairs(&values(&grad)?, &values(mask)?, |g, m| g * m);
        Ok((Some(tensor(gradient, x.shape())?), None))
    }
}
