//! A linear map.

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};

use super::xavier;
use crate::ops;

/// `x weightᵀ + bias`.
pub(crate) struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// A map from `n_in` to `n_out` values.
    pub(crate) fn new(n_in: usize, n_out: usize, vb: &VarBuilder) -> Result<Self> {
        let bias = vb.get_with_hints(n_out, "bias", Init::Const(0.0))?;
        Ok(Self {
            bias: Some(bias),
            ..Self::without_bias(n_in, n_out, vb)?
        })
    }

    /// The same without a bias.
    pub(crate) fn without_bias(n_in: usize, n_out: usize, vb: &VarBuilder) -> Result<Self> {
        let weight = vb.get_with_hints((n_out, n_in), "weight", xavier(n_in, n_out, 1, 1.0))?;
        Ok(Self { weight, bias: None })
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        ops::linear(x, &self.weight, self.bias.as_ref())
    }

    /// As [`Self::forward`], with one more bias added.
    pub(crate) fn forward_plus(&self, x: &Tensor, bias: &Tensor) -> Result<Tensor> {
        match &self.bias {
            Some(own) => ops::linear(x, &self.weight, Some(&(own + bias)?)),
            None => ops::linear(x, &self.weight, Some(bias)),
        }
    }
}
