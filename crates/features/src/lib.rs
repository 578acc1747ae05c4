//! Pretrained networks that turn images into features, by which sets of images are compared: Inception-v3 as FID takes it,
//! DINOv2, and a small classifier of digits that needs no file.
//!
//! [`Extractor::new`] builds a network of weights that are in memory, by the names of the usual files;
//! [`Extractor::features`] looks at images. Nothing is read from files or fetched here.

mod digits;
mod dinov2;
mod error;
mod extractor;
mod inception;
mod pixels;
mod resample;
mod weights;

pub use digits::DigitClassifier;
pub use error::FeatureError;
pub use extractor::{Extractor, FeatureNetwork};
