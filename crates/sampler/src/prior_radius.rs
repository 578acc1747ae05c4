//! The clip of the prior's radius in the original PFGM.

use candle_core::{DType, Result, Tensor};
use pfgmpp_transfer::ParameterError;

use crate::state::column;

/// Rescales each sample of `x` `[B, ...]` so that its norm is within `radius`, low to high.
///
/// A sample at 0 has no direction and stays there.
pub(crate) fn clip_radius(x: &Tensor, radius: [f64; 2]) -> Result<Tensor> {
    let norms = x.to_dtype(DType::F64)?.sqr()?.flatten_from(1)?.sum(1)?;
    let norms = norms.sqrt()?.to_vec1::<f64>()?;
    let scale = |norm: &f64| match *norm {
        0.0 => 1.0,
        norm => norm.clamp(radius[0], radius[1]) / norm,
    };
    let scales: Vec<f64> = norms.iter().map(scale).collect();
    x.broadcast_mul(&column(&scales, x)?)
}

/// Refuses a range that is empty or reaches outside the positive numbers.
pub(crate) fn check_radius(radius: [f64; 2]) -> std::result::Result<(), ParameterError> {
    let [low, high] = radius;
    if 0.0 <= low && low < high && high.is_finite() {
        return Ok(());
    }
    Err(ParameterError::new(
        "prior_radius",
        format!("[{low}, {high}]"),
        "two numbers of at least 0, the second larger than the first",
    ))
}
