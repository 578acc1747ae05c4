//! Twofold resampling with the box filter.
//!
//! ```text
//! down[y, x] = (in[2y, 2x] + in[2y, 2x+1] + in[2y+1, 2x] + in[2y+1, 2x+1]) / 4        up[y, x] = in[y/2, x/2]
//! ```

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::host::{is_fused, output, slice, tensor, values};
use crate::kernels::resample::{down, up};
use crate::tape::apply1;

/// Halves height and width of `x [B, H, W, C]`, both even: each pixel is the mean of two by two.
///
/// # Errors
///
/// An odd height or width.
pub fn downsample(x: &Tensor) -> Result<Tensor> {
    let (b, h, w, c) = x.dims4()?;
    if h % 2 != 0 || w % 2 != 0 {
        bail!("downsampling needs an even height and width, got {h} by {w}");
    }
    if is_fused(x) {
        return apply1(&x.contiguous()?, Downsample);
    }
    x.reshape((b, h / 2, 2, w / 2, 2, c))?.mean((2, 4))
}

/// Doubles height and width of `x [B, H, W, C]`: each pixel is repeated two by two.
///
/// # Errors
///
/// A tensor that does not have four dimensions.
pub fn upsample(x: &Tensor) -> Result<Tensor> {
    let (b, h, w, c) = x.dims4()?;
    if is_fused(x) {
        return apply1(&x.contiguous()?, Upsample);
    }
    // Not `upsample_nearest2d`: its gradient overwrites other contributions.
    x.reshape((b, h, 1, w, 1, c))?
        .broadcast_as((b, h, 2, w, 2, c))?
        .reshape((b, 2 * h, 2 * w, c))
}

struct Downsample;

impl CustomOp1 for Downsample {
    fn name(&self) -> &'static str {
        "downsample"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (b, h, w, c) = layout.shape().dims4()?;
        Ok(output(
            down(slice(x, layout)?, (b, h, w, c), 0.25),
            (b, h / 2, w / 2, c),
        ))
    }

    fn bwd(&self, x: &Tensor, out: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        Ok(Some(tensor(
            up(&values(&grad)?, out.dims4()?, 0.25),
            x.shape(),
        )?))
    }
}

struct Upsample;

impl CustomOp1 for Upsample {
    fn name(&self) -> &'static str {
        "upsample"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (b, h, w, c) = layout.shape().dims4()?;
        Ok(output(
            up(slice(x, layout)?, (b, h, w, c), 1.0),
            (b, 2 * h, 2 * w, c),
        ))
    }

    fn bwd(&self, x: &Tensor, out: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        Ok(Some(tensor(
            down(&values(&grad)?, out.dims4()?, 1.0),
            x.shape(),
        )?))
    }
}
