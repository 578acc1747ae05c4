//! Convolution of three by three weights by the tiles of Winograd, F(4x4, 3x3): a quarter of the multiplications.
//!
//! ```text
//! V = Bᵀ d B   (each 6x6 tile of inputs)        U = G g Gᵀ   (each 3x3 of weights)
//! M[ξ] = V[ξ] U[ξ]   (tiles by c_in times c_in by c_out, at each of the 36 points ξ)        Y = Aᵀ M A   (4x4 outputs)
//! ```
//!
//! Gradients run backwards through the same: that of the input is the convolution with reversed taps, that of
//! the weights is `Gᵀ dU G` with `dU[ξ] = V[ξ]ᵀ dM[ξ]`, `dM = A dY Aᵀ`. Tiles, or weights where tiles are
//! few, pass in blocks whose transforms stay in the cache.
//!
//! Source: Lavin and Gray 2016 (arXiv:1509.09308).

mod multiply;
mod tiles;
mod transform;
mod weight_gradient;
mod weights;

pub(crate) use multiply::convolve;
pub(crate) use weight_gradient::weight_gradient;

use super::geometry::Geometry;
use crate::conv_algorithm::ConvAlgorithm;

/// Below this many channels a vector of them is not filled, and transforms cost more than they save.
const MIN_CHANNELS: usize = 16;

/// Weights for each pixel of an image above which their transform costs more than it saves.
const MAX_WEIGHTS_PER_PIXEL: usize = 1024;

/// Whether a convolution between so many channels goes by tiles.
///
/// The answer does not depend on the batch, so that a sample's result does not either. [`ConvAlgorithm::Direct`]
/// makes it no.
pub(crate) fn applies(geometry: Geometry, c_in: usize, c_out: usize) -> bool {
    applies_to_weights(geometry, c_in, c_out)
        && c_in * c_out <= MAX_WEIGHTS_PER_PIXEL * geometry.pixels_out()
}

/// The same for the gradient of the weights, whose transform is needed once for a whole batch.
pub(crate) fn applies_to_weights(geometry: Geometry, c_in: usize, c_out: usize) -> bool {
    geometry.kernel == 3
        && geometry.stride == 1
        && c_in.min(c_out) >= MIN_CHANNELS
        && geometry.out.0.min(geometry.out.1) >= transform::OUT
        && ConvAlgorithm::chosen() == ConvAlgorithm::Tiles
}
