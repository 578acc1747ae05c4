//! A batch of samples as one picture.

use candle_core::Tensor;
use pfgmpp_data::{GridLayout, Picture, PictureError, grid};

/// Images smaller than this are drawn larger, by a whole factor.
const VISIBLE: usize = 64;

/// Draws `[num, C, H, W]` samples in a square grid, small images enlarged.
///
/// # Errors
///
/// Channels other than 1 or 3, and an empty batch.
pub fn sample_grid(samples: &Tensor) -> Result<Picture, PictureError> {
    let (num, _, height, width) = samples.dims4()?;
    let layout = GridLayout {
        columns: (num as f64).sqrt().ceil() as usize,
        padding: 1,
        scale: (VISIBLE / width.max(height).max(1)).max(1),
    };
    grid(samples, layout)
}
