//! A linear map.

use candle_core::{Result, Tensor, bail};
use candle_nn::{Init, VarBuilder};

use super::scheme::Initial;
use crate::ops;

/// `x weightᵀ + bias`.
pub(crate) struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
    n_in: usize,
    n_out: usize,
}

impl Linear {
    /// A map from `n_in` to `n_out` values.
    pub(crate) fn new(n_in: usize, n_out: usize, init: Initial, vb: &VarBuilder) -> Result<Self> {
        let bias = vb.get_with_hints(n_out, "bias", init.bias)?;
        Ok(Self {
            bias: Some(bias),
            ..Self::without_bias(n_in, n_out, init.weight, vb)?
        })
    }

    /// The same without a bias.
    pub(crate) fn without_bias(
        n_in: usize,
        n_out: usize,
        weight: Init,
        vb: &VarBuilder,
    ) -> Result<Self> {
        Ok(Self {
            weight: vb.get_with_hints((n_out, n_in), "weight", weight)?,
            bias: None,
            n_in,
            n_out,
        })
    }

    /// Values that the map takes.
    pub(crate) fn n_in(&self) -> usize {
        self.n_in
    }

    /// Values that it gives.
    pub(crate) fn n_out(&self) -> usize {
        self.n_out
    }

    /// The weights, `[n_out, n_in]`.
    pub(crate) fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The bias, `[n_out]`.
    ///
    /// # Errors
    ///
    /// A map without one.
    pub(crate) fn bias(&self) -> Result<&Tensor> {
        match &self.bias {
            Some(bias) => Ok(bias),
            None => bail!("a linear map of {} values has no bias", self.n_in),
        }
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
