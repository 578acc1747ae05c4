//! A batch of samples as one picture.

use candle_core::Tensor;
use pfgmpp_data::{GridLayout, Picture, PictureError, grid, is_planar, scatter};

/// Images smaller than this are drawn larger, by a whole factor.
const VISIBLE: usize = 64;
/// Samples that one picture shows: images side by side, or points in the plane.
const IMAGES: usize = 64;
const POINTS: usize = 2048;

/// The number of samples of `shape` `[C, H, W]` that one picture shows.
pub fn shown_samples(shape: [usize; 3]) -> usize {
    if is_planar(shape) { POINTS } else { IMAGES }
}

/// Draws `[num, C, H, W]` samples: images in a square grid, small ones enlarged; points in the
/// plane over the points `behind`.
///
/// # Errors
///
/// Images of other than 1 or 3 channels, and an empty batch.
pub fn sample_grid(samples: &Tensor, behind: Option<&Tensor>) -> Result<Picture, PictureError> {
    let (num, channels, height, width) = samples.dims4()?;
    if is_planar([channels, height, width]) {
        return scatter(samples, behind);
    }
    sample_rows(samples, square(num))
}

/// Images in a row of a square grid of `num`.
pub fn square(num: usize) -> usize {
    (num as f64).sqrt().ceil() as usize
}

/// Draws images `[num, C, H, W]` with `columns` in a row, small ones enlarged.
///
/// # Errors
///
/// As [`sample_grid`].
pub fn sample_rows(samples: &Tensor, columns: usize) -> Result<Picture, PictureError> {
    let (_, _, height, width) = samples.dims4()?;
    let layout = GridLayout {
        columns,
        padding: 1,
        scale: (VISIBLE / width.max(height).max(1)).max(1),
    };
    grid(samples, layout)
}
