//! A linear map.

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};

use super::xavier;
use crate::ops;

/// `x weightᵀ + bias`.
pub(crate) struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
    n_in: usize,
}

impl Linear {
    /// A map from `n_in` to `n_out` values.
    pub(crate) fn new(n_in: usize, n_out: usize, vb: &VarBuilder) -> Result<Self> {
        Self::scaled(n_in, n_out, 1.0, vb)
    }

    /// The same with its initial weights times `gain`.
    pub(crate) fn scaled(n_in: usize, n_out: usize, gain: f64, vb: &VarBuilder) -> Result<Self> {
        let weight = xavier(n_in, n_out, 1, gain);
        Self::with_init(n_in, n_out, weight, Some(Init::Const(0.0)), vb)
    }

    /// The same without a bias.
    pub(crate) fn without_bias(n_in: usize, n_out: usize, vb: &VarBuilder) -> Result<Self> {
        Self::with_init(n_in, n_out, xavier(n_in, n_out, 1, 1.0), None, vb)
    }

    /// A map with the given initial values; no bias without one for it.
    pub(crate) fn with_init(
        n_in: usize,
        n_out: usize,
        weight: Init,
        bias: Option<Init>,
        vb: &VarBuilder,
    ) -> Result<Self> {
        let bias = bias.map(|init| vb.get_with_hints(n_out, "bias", init));
        Ok(Self {
            weight: vb.get_with_hints((n_out, n_in), "weight", weight)?,
            bias: bias.transpose()?,
            n_in,
        })
    }

    /// Values that the map takes.
    pub(crate) fn n_in(&self) -> usize {
        self.n_in
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
