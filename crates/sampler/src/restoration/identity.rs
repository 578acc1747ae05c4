//! Denoising: all of the data is observed.

use candle_core::{Result, Tensor};
use pfgmpp_transfer::ParameterError;

use super::Operator;

/// `A y = y`: what is observed is the data with noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity;

impl Operator for Identity {
    fn observed_shape(&self, shape: &[usize]) -> std::result::Result<Vec<usize>, ParameterError> {
        Ok(shape.to_vec())
    }

    fn apply(&self, y: &Tensor) -> Result<Tensor> {
        Ok(y.clone())
    }

    fn transpose(&self, u: &Tensor) -> Result<Tensor> {
        Ok(u.clone())
    }
}
