//! A frame of zeros around an image.
//!
//! ```text
//! out[y, x] = in[y - 1, x - 1],   0 outside
//! ```

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::host::{is_fused, output, slice, tensor, values};
use crate::kernels::resample::{crop, frame};
use crate::tape::apply1;

/// Puts one pixel of zeros around `x [B, H, W, C]`.
///
/// # Errors
///
/// A tensor that does not have four dimensions.
pub(crate) fn framed(x: &Tensor) -> Result<Tensor> {
    x.dims4()?;
    if is_fused(x) {
        return apply1(&x.contiguous()?, Frame);
    }
    x.pad_with_zeros(1, 1, 1)?.pad_with_zeros(2, 1, 1)
}

struct Frame;

impl CustomOp1 for Frame {
    fn name(&self) -> &'static str {
        "frame"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (b, h, w, c) = layout.shape().dims4()?;
        let out = frame(slice(x, layout)?, (b, h, w, c));
        Ok(output(out, (b, h + 2, w + 2, c)))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let dx = crop(&values(&grad)?, x.dims4()?);
        Ok(Some(tensor(dx, x.shape())?))
    }
}
