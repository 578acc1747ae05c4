//! Data sets, the order in which training sees them, and pictures of samples.
//!
//! - [`DataSource`] is what a configuration names; [`DataSource::load`] gives the [`Splits`].
//! - [`Dataset`] holds images in memory, `[n, C, H, W]` in `[-1, 1]`.
//! - [`Statistics`] measures what preconditioning needs to know of a data set.
//! - [`Shuffle`] orders the images as a function of the seed and the images seen so far, so that
//!   a resumed run needs no saved loader state.
//! - [`grid()`], [`scatter()`] and [`to_image`] turn samples into 8-bit pictures.

mod dataset;
mod digits;
mod hub_sets;
mod image_files;
mod noise;
mod picture;
mod plane;
mod scatter;
mod shuffle;
mod source;
mod statistics;

pub use dataset::{ClassLabels, DataError, Dataset, is_planar};
pub use image_files::ImageFilesError;
pub use picture::{GridLayout, Picture, PictureError, grid, to_image};
pub use scatter::scatter;
pub use shuffle::Shuffle;
pub use source::{DataSource, Splits};
pub use statistics::Statistics;
