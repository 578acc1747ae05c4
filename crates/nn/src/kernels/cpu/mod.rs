//! The arithmetic of the fused operations, on plain slices.
//!
//! Activations are channels-last, `[B, H, W, C]`, so that a vector register holds channels and every image
//! size, however small, fills it. Work is split among threads by sample, by block of pixels, tiles or
//! weights, or by output element, in pieces that follow from the shape, and every sum runs in one fixed
//! order: results do not depend on the number of threads, bit for bit, and the result for one sample does not
//! depend on the others in its batch.

pub(crate) mod adam;
pub(crate) mod attention;
pub(crate) mod average;
pub(crate) mod awake;
pub(crate) mod bias;
pub(crate) mod conv;
pub(crate) mod conv_weight;
pub(crate) mod elementwise;
pub(crate) mod geometry;
pub(crate) mod group_norm;
pub(crate) mod groups;
pub(crate) mod matrix;
pub(crate) mod outer;
pub(crate) mod packing;
pub(crate) mod parallel;
pub(crate) mod pointwise_weight;
pub(crate) mod product;
pub(crate) mod resample;
pub(crate) mod scratch;
pub(crate) mod squared_norm;
pub(crate) mod vectorized;
pub(crate) mod winograd;
