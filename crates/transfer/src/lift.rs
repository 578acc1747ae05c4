//! One diffusion denoiser for every D.

use std::sync::OnceLock;

use candle_core::{DType, Result, Tensor};
use pfgmpp_kernel::{Denoiser, Dimension, Kernel};
use serde::{Deserialize, Serialize};

use crate::ParameterError;

/// Where the guess `m` of the data behind `x` comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Guess {
    /// The mean of the data: one evaluation.
    DataMean,
    /// A fixed point that starts from the mean of the data.
    FixedPoint {
        /// Evaluations in all.
        evaluations: usize,
    },
    /// The solver's last estimate: one evaluation; two where there is none yet.
    Previous,
}

impl Guess {
    /// Checks the number of evaluations.
    ///
    /// # Errors
    ///
    /// None, or more than 100.
    pub fn check(&self) -> std::result::Result<(), ParameterError> {
        match *self {
            Self::FixedPoint { evaluations } if !(1..=100).contains(&evaluations) => {
                Err(ParameterError::new(
                    "guess.fixed_point.evaluations",
                    evaluations,
                    "from 1 to 100",
                ))
            }
            _ => Ok(()),
        }
    }
}

/// A denoiser for D extra coordinates made of one for D = ∞.
///
/// The noise of a sample is Gaussian of scale `s = sigma sqrt(w)`, and given `x` and the data `y` behind it
/// `s²` is inverse gamma, the narrower the larger N + D. So
///
/// ```text
/// sigma_eff² = (|x - m|² + D sigma²) / (N + D),   E_D[y|x; sigma] ≈ E_∞[y|x; sigma_eff]
/// ```
///
/// with `m` a guess of `y` ([`Guess`]). At D = ∞ it is the inner denoiser to the bit. What it leaves
/// out, and how much that is: `docs/effective-noise.md`.
pub struct EffectiveNoise<T> {
    inner: T,
    n: f64,
    d: Dimension,
    guess: Guess,
    sigma_max: f64,
    /// The mean of the data, found at the first use, shape `[1, ...]`.
    mean: OnceLock<Tensor>,
}

impl<T: Denoiser> EffectiveNoise<T> {
    /// Lifts `inner`, a denoiser for D = ∞, to the D of `kernel`.
    ///
    /// `sigma_max` is a noise level so high that `inner` at the origin returns about the mean of the
    /// data; that of the sampler is.
    pub fn new(inner: T, kernel: &Kernel, guess: Guess, sigma_max: f64) -> Self {
        Self {
            inner,
            n: kernel.n() as f64,
            d: kernel.d(),
            guess,
            sigma_max,
            mean: OnceLock::new(),
        }
    }

    /// The effective noise level of each sample of `x` `[B, ...]` under the guess `m`, shaped as `x` or
    /// `[1, ...]`.
    ///
    /// # Errors
    ///
    /// Failures of the tensor backend.
    pub fn sigma_eff(&self, x: &Tensor, sigma: &[f64], m: &Tensor) -> Result<Vec<f64>> {
        let Dimension::Finite(d) = self.d else {
            return Ok(sigma.to_vec());
        };
        let noise = x.broadcast_sub(m)?.to_dtype(DType::F64)?.flatten_from(1)?;
        let distances: Vec<f64> = noise.sqr()?.sum(1)?.sqrt()?.to_vec1()?;
        let pairs = distances.iter().zip(sigma);
        // hypot: the squares of far-out samples overflow.
        let level = |(distance, sigma): (&f64, &f64)| {
            distance.hypot(sigma * d.sqrt()) / (self.n + d).sqrt()
        };
        Ok(pairs.map(level).collect())
    }

    fn at(&self, x: &Tensor, sigma: &[f64], labels: Option<&Tensor>, m: &Tensor) -> Result<Tensor> {
        let sigma_eff = self.sigma_eff(x, sigma, m)?;
        self.inner.denoise(x, &sigma_eff, labels)
    }

    /// What the inner denoiser knows without seeing anything.
    fn mean(&self, x: &Tensor, labels: Option<&Tensor>) -> Result<Tensor> {
        if labels.is_some() {
            // Unlike classes have unlike means.
            let sigma = vec![self.sigma_max; x.dim(0)?];
            return self.inner.denoise(&x.zeros_like()?, &sigma, labels);
        }
        let known = self
            .mean
            .get()
            .filter(|mean| mean.dims()[1..] == x.dims()[1..]);
        let mean = match known {
            Some(mean) => mean.clone(),
            None => {
                let origin = x.narrow(0, 0, 1)?.zeros_like()?;
                let mean = self.inner.denoise(&origin, &[self.sigma_max], None)?;
                // Another thread may have found it meanwhile: the same values.
                let _ = self.mean.set(mean.clone());
                mean
            }
        };
        mean.to_dtype(x.dtype())
    }
}

impl<T: Denoiser> Denoiser for EffectiveNoise<T> {
    fn denoise(&self, x: &Tensor, sigma: &[f64], labels: Option<&Tensor>) -> Result<Tensor> {
        self.denoise_near(x, sigma, labels, None)
    }

    fn denoise_near(
        &self,
        x: &Tensor,
        sigma: &[f64],
        labels: Option<&Tensor>,
        guess: Option<&Tensor>,
    ) -> Result<Tensor> {
        if self.d.is_infinite() {
            return self.inner.denoise_near(x, sigma, labels, guess);
        }
        let passes = match (self.guess, guess) {
            (Guess::Previous, Some(guess)) => return self.at(x, sigma, labels, guess),
            (Guess::Previous, None) => 2,
            (Guess::DataMean, _) => 1,
            (Guess::FixedPoint { evaluations }, _) => evaluations,
        };
        let mut denoised = self.mean(x, labels)?;
        for _ in 0..passes {
            denoised = self.at(x, sigma, labels, &denoised)?;
        }
        Ok(denoised)
    }
}
