//! The one interface between a model and whatever samples or scores it.

use candle_core::{Result, Tensor};

/// An estimate of the clean data behind perturbed data: `E[y | x]` at noise level `sigma`.
///
/// The exact posterior of a data set and a preconditioned network both implement it; samplers and
/// scores see nothing else of a model.
pub trait Denoiser: Send + Sync {
    /// Estimates `E[y | x]`.
    ///
    /// - `x`: perturbed data, shape `[B, ...]`, `f32` or `f64`.
    /// - `sigma`: noise level of each sample, length `B`, in units of the data.
    /// - `labels`: class labels, one-hot, shape `[B, label_dim]`, for conditional models.
    ///
    /// Returns the shape and dtype of `x`.
    ///
    /// # Errors
    ///
    /// Shapes that do not fit the model, and failures of the tensor backend.
    fn denoise(&self, x: &Tensor, sigma: &[f64], labels: Option<&Tensor>) -> Result<Tensor>;

    /// Estimates `E[y | x]` with an estimate from nearby at hand, for denoisers that can use one.
    ///
    /// `guess`, of the shape and dtype of `x`, is an estimate of `E[y | x]` at a neighbouring `x` and
    /// `sigma`: a solver's last one, `None` at its first evaluation. Unless a denoiser says otherwise,
    /// the guess is ignored.
    ///
    /// # Errors
    ///
    /// Those of [`Self::denoise`].
    fn denoise_near(
        &self,
        x: &Tensor,
        sigma: &[f64],
        labels: Option<&Tensor>,
        guess: Option<&Tensor>,
    ) -> Result<Tensor> {
        let _ = guess;
        self.denoise(x, sigma, labels)
    }
}

impl<T: Denoiser + ?Sized> Denoiser for &T {
    fn denoise(&self, x: &Tensor, sigma: &[f64], labels: Option<&Tensor>) -> Result<Tensor> {
        (**self).denoise(x, sigma, labels)
    }

    fn denoise_near(
        &self,
        x: &Tensor,
        sigma: &[f64],
        labels: Option<&Tensor>,
        guess: Option<&Tensor>,
    ) -> Result<Tensor> {
        (**self).denoise_near(x, sigma, labels, guess)
    }
}

impl<T: Denoiser + ?Sized> Denoiser for Box<T> {
    fn denoise(&self, x: &Tensor, sigma: &[f64], labels: Option<&Tensor>) -> Result<Tensor> {
        (**self).denoise(x, sigma, labels)
    }

    fn denoise_near(
        &self,
        x: &Tensor,
        sigma: &[f64],
        labels: Option<&Tensor>,
        guess: Option<&Tensor>,
    ) -> Result<Tensor> {
        (**self).denoise_near(x, sigma, labels, guess)
    }
}
