//! Pretrained networks that turn images into features, by which sets of images are compared: Inception-v3 as FID takes it,
//! and DINOv2.
//!
//! [`Extractor::new`] builds a network of weights that are in memory, by the names of the usual files;
//! [`Extractor::features`] looks at images. Nothing is read from files or fetched here.

mod dinov2;
mod error;
mod extractor;
mod inception;
mod pixels;
mod resample;
mod weights;

pub use error::FeatureError;
pub use extractor::{Extractor, FeatureNetwork};
