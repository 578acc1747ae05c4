//! Data sets, the order in which training sees them, and pictures of samples.
//!
//! - [`DataSource`] is what a configuration names; [`DataSource::load`] gives the [`Splits`].
//! - [`Dataset`] holds images, `[n, C, H, W]` in `[-1, 1]`, with their classes ([`ClassLabels`]).
//! - [`Found`] says in a line what a data set consists of and what was left out.
//! - [`FileKind`] tells what a file really is that cannot be read as what it is called.
//! - [`Statistics`] measures what preconditioning needs to know of a data set.
//! - [`Shuffle`] orders the images as a function of the seed and the images seen so far, so that
//!   a resumed run needs no saved loader state.
//! - [`AugmentConfig`] changes training images at random, and says what a network is told of it.
//! - [`grid()`], [`scatter()`] and [`to_image`] turn samples into 8-bit pictures.

mod ahead;
mod animation;
mod augmentation;
mod columns;
mod dataset;
mod error;
mod file_error;
mod file_kind;
mod fingerprint;
mod found;
mod labels;
mod levels;
#[cfg(test)]
mod mutated;
mod picture;
mod scatter;
mod shuffle;
mod source;
mod sources;
mod splits;
mod statistics;
mod storage;
mod table;

pub use animation::animation;
pub use augmentation::{AUGMENT_LABELS, AugmentConfig};
pub use columns::{Column, Standardise, StandardiseBy};
pub use dataset::{Dataset, is_image, is_planar};
pub use error::DataError;
pub use file_error::FileError;
pub use file_kind::FileKind;
pub use found::{Found, Skipped};
pub use labels::{ClassLabels, MAX_CLASSES};
pub use picture::{GridLayout, Picture, PictureError, grid, to_image};
pub use scatter::scatter;
pub use shuffle::Shuffle;
pub use sources::*;
pub use splits::{MIN_IMAGES, Splits};
pub use statistics::Statistics;
