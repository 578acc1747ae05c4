//! What a denoiser is asked.

use candle_core::{Result, Tensor, bail};

use crate::Condition;

/// One question to a [`Denoiser`](crate::Denoiser): what data stand behind these perturbed ones?
///
/// ```
/// # use candle_core::{DType, Device, Tensor};
/// # use pfgmpp_kernel::{Condition, Query};
/// # fn main() -> candle_core::Result<()> {
/// let x = Tensor::zeros((2, 1, 8, 8), DType::F64, &Device::Cpu)?;
/// let (sigma, threes) = ([0.5, 2.0], Condition::of_classes(&[3, 3], 10, &Device::Cpu)?);
/// let query = Query::new(&x, &sigma).under(&threes);
/// assert!(query.guess.is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// Perturbed data, shape `[B, ...]`, `f32` or `f64`.
    pub x: &'a Tensor,
    /// Noise level of each sample, length `B`, in units of the data.
    pub sigma: &'a [f64],
    /// What the samples are conditioned on.
    pub condition: &'a Condition,
    /// An estimate of `E[y | x]` at a neighbouring `x` and `sigma`, shaped as `x`: a solver's last one, none at
    /// its first evaluation. Unless a denoiser says otherwise, it is ignored.
    pub guess: Option<&'a Tensor>,
}

impl<'a> Query<'a> {
    /// Asks about `x` `[B, ...]` at noise levels `sigma` `[B]`, under no condition and without a guess.
    #[must_use]
    pub fn new(x: &'a Tensor, sigma: &'a [f64]) -> Self {
        Self {
            x,
            sigma,
            condition: Condition::unconditional(),
            guess: None,
        }
    }

    /// The same under a condition.
    #[must_use]
    pub fn under(self, condition: &'a Condition) -> Self {
        Self { condition, ..self }
    }

    /// The same with an estimate from nearby at hand, `&guess` or an `Option`.
    #[must_use]
    pub fn near(self, guess: impl Into<Option<&'a Tensor>>) -> Self {
        let guess = guess.into();
        Self { guess, ..self }
    }
    /// A covector `v` to take back from the estimate: detached, in the dtype and on the device of x.
    ///
    /// # Errors
    ///
    /// A `v` of another shape than x, and failures of the tensor backend.
    pub fn covector(&self, v: &Tensor) -> Result<Tensor> {
        if v.dims() != self.x.dims() {
            let (want, got) = (self.x.dims(), v.dims());
            bail!("v must have the shape of x, {want:?}, got {got:?}");
        }
        v.detach()
            .to_device(self.x.device())?
            .to_dtype(self.x.dtype())
    }
}
