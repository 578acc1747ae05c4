//! Layers of channels-last networks.

mod block;
mod conv;
mod dropout;
mod embedding;
mod labels;
mod linear;
mod mapping;
mod norm;

pub(crate) use block::{Block, BlockSpec, Resample};
pub(crate) use conv::Conv2d;
pub(crate) use dropout::Dropout;
pub use embedding::NoiseEmbedding;
pub(crate) use linear::Linear;
pub(crate) use mapping::{Mapping, MappingSpec};
pub(crate) use norm::GroupNorm;

use candle_nn::Init;

/// Gain of layers that end a residual branch: such branches start almost silent.
pub(crate) const ALMOST_ZERO: f64 = 1e-5;

/// Xavier's uniform law times `gain`, for a layer with a square kernel (1 for a linear one).
///
/// ```text
/// U(-a, a),   a = gain sqrt(6 / ((n_in + n_out) kernel²))
/// ```
///
/// Source: Glorot and Bengio 2010; gains of Karras et al. 2022.
fn xavier(n_in: usize, n_out: usize, kernel: usize, gain: f64) -> Init {
    let bound = gain * (6.0 / ((n_in + n_out) * kernel * kernel) as f64).sqrt();
    Init::Uniform {
        lo: -bound,
        up: bound,
    }
}
