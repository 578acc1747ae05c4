//! Differentiable fused operations, one to a file, each with its formula.
//!
//! Images are channels-last: `[B, H, W, C]`. On a CPU in `f32` every operation and its gradient run in one pass over
//! memory, split among the threads of the current rayon pool; on other devices and in other types the same result is
//! composed of the backend's own operations. CPU results do not depend on the number of threads, bit for bit, and one
//! sample's result does not depend on the rest of its batch.

mod adam;
mod add_scaled;
mod attention;
mod average;
mod concat;
mod conv2d;
mod group_norm;
mod lend;
mod modulate;
mod resample;
mod scale_by;
mod silu;
mod squared_norm;

pub use adam::{AdamState, AdamStep};
pub use add_scaled::add_scaled;
pub use attention::attention;
pub use average::{MovingAverage, move_averages};
pub use concat::concat;
pub use conv2d::{
    Conv2dConfig, conv2d, conv2d_input_gradient, conv2d_weight_gradient, conv2d_with, linear,
};
pub use group_norm::{Activation, group_norm, modulated_group_norm};
pub use modulate::modulate;
pub(crate) use resample::downsample_framed;
pub use resample::{Filter, downsample, upsample};
pub(crate) use scale_by::scale_by;
pub use silu::silu;
pub use squared_norm::squared_norm;

use candle_core::{Result, Tensor};

/// From `[B, C, H, W]` to `[B, H, W, C]`, contiguous.
///
/// # Errors
///
/// A tensor that does not have four dimensions.
pub fn to_channels_last(x: &Tensor) -> Result<Tensor> {
    let (b, c, h, w) = x.dims4()?;
    if c == 1 {
        return x.contiguous()?.reshape((b, h, w, c));
    }
    x.permute((0, 2, 3, 1))?.contiguous()
}

/// From `[B, H, W, C]` to `[B, C, H, W]`, contiguous.
///
/// # Errors
///
/// A tensor that does not have four dimensions.
pub fn to_channels_first(x: &Tensor) -> Result<Tensor> {
    let (b, h, w, c) = x.dims4()?;
    if c == 1 {
        return x.contiguous()?.reshape((b, c, h, w));
    }
    x.permute((0, 3, 1, 2))?.contiguous()
}
