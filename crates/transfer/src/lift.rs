//! A diffusion denoiser at any D, by the effective noise level.

mod gradient;

use candle_core::{Result, Tensor};
use pfgmpp_kernel::{ConditionSpec, Denoiser, Dimension, Kernel, Pullback, Query, beside, in_f64};
use serde::{Deserialize, Serialize};

use crate::{DataMoments, DenoisingError, ParameterError, PosteriorNoise, Real};

/// Relative change of a level at which the passes for the denoising error end.
const PRECISION: f64 = 1e-9;
/// A bound on those passes; ten are usual.
const MAX_PASSES: usize = 1000;

/// Where the guess m of the clean data comes from that the noise is measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Guess {
    /// The mean of the data: one evaluation.
    DataMean,
    /// The data mean first, then the estimate that it gave, and so on.
    FixedPoint {
        /// Evaluations of the denoiser in all, at least 1 (which is [`Guess::DataMean`]).
        evaluations: usize,
    },
    /// The estimate of the solver's step before: one evaluation. Without one, the data mean. It is held fixed in
    /// derivatives.
    Previous,
}

impl Guess {
    /// Checks the number of evaluations.
    ///
    /// # Errors
    ///
    /// None, or more than 1,000.
    pub fn check(&self) -> std::result::Result<(), ParameterError> {
        match *self {
            Self::FixedPoint { evaluations } if !(1..=1000).contains(&evaluations) => Err(
                ParameterError::new("evaluations", evaluations, "from 1 to 1000"),
            ),
            _ => Ok(()),
        }
    }

    /// Evaluations of the denoiser for one estimate.
    #[must_use]
    pub fn evaluations(&self) -> usize {
        match *self {
            Self::FixedPoint { evaluations } => evaluations,
            Self::DataMean | Self::Previous => 1,
        }
    }
}

/// A denoiser of Gaussian noise (D = ∞) made one of Student-t noise at a finite D.
///
/// The noise of a sample is Gaussian of a scale s that is one draw for all its N values; given the
/// clean data it is known to a width of `1 / sqrt(2 (N + D))`. So the Gaussian denoiser is asked at
/// that scale in place of sigma:
///
/// ```text
/// sigma_eff²(x) = (|x - m|² + D sigma²) / (N + D),   E_D[y | x] ≈ E_∞[y | x; sigma_eff]
/// ```
///
/// with m an estimate of y. Where m is the data mean, `|x - m|` holds the data's own spread as well,
/// and the level is that of [`PosteriorNoise`]. At D = ∞ the denoiser is asked at sigma itself and its
/// answer passed on as it is. Derived and measured in `docs/effective-noise.md`.
#[derive(Clone, Debug)]
pub struct EffectiveNoise<M> {
    denoiser: M,
    n: usize,
    d: Dimension,
    guess: Guess,
    data: DataMoments,
    posterior: PosteriorNoise,
    error: Option<DenoisingError>,
    sigma_max: f64,
}

impl<M: Denoiser> EffectiveNoise<M> {
    /// Lifts `denoiser`, one of Gaussian noise, to data perturbed by `kernel`.
    ///
    /// Where `data` knows the denoiser's error, it is accounted for ([`Self::with_denoising_error`]).
    ///
    /// # Errors
    ///
    /// A number of evaluations out of range, and a mean of another size than the kernel's N.
    pub fn new(
        denoiser: M,
        kernel: &Kernel,
        guess: Guess,
        data: DataMoments,
    ) -> std::result::Result<Self, ParameterError> {
        guess.check()?;
        let (n, d) = (kernel.n(), kernel.d());
        let got = data.mean().elem_count();
        if got != n {
            let accepted = format!("of n = {n} values");
            return Err(ParameterError::new("mean", got, accepted));
        }
        let posterior = PosteriorNoise::new(n, d, data.scale());
        Ok(Self {
            denoiser,
            n,
            d,
            guess,
            posterior,
            error: data.denoising_error().cloned(),
            data,
            sigma_max: f64::INFINITY,
        })
    }

    /// Accounts for the denoiser's error e(s), which the distance to its own estimate leaves out.
    ///
    /// ```text
    /// sigma_eff² = (|x - m|² + e(sigma_eff) + D sigma²) / (N + D)
    /// ```
    ///
    /// It serves [`Guess::FixedPoint`], and [`Guess::Previous`], whose estimate is from a place on the same line through
    /// x a step before; not [`Guess::DataMean`], which is no estimate.
    ///
    /// # Errors
    ///
    /// A curve that [`DenoisingError::check`] refuses.
    pub fn with_denoising_error(
        mut self,
        error: DenoisingError,
    ) -> std::result::Result<Self, ParameterError> {
        error.check()?;
        self.error = Some(error);
        Ok(self)
    }

    /// Asks the denoiser at `sigma_max` at most, and extends it above, where it is linear in x:
    ///
    /// ```text
    /// E_∞[y | x; s] ≈ mean + c (E_∞[y | mean + c (x - mean); sigma_max] - mean),   c = sigma_max / s
    /// ```
    ///
    /// At small D the true scale of some samples is a hundred times sigma, where no network was trained.
    ///
    /// # Errors
    ///
    /// A `sigma_max` that is not positive.
    pub fn with_sigma_max(mut self, sigma_max: f64) -> std::result::Result<Self, ParameterError> {
        ParameterError::positive("sigma_max", sigma_max)?;
        self.sigma_max = sigma_max;
        Ok(self)
    }

    /// The denoiser that was lifted.
    pub fn denoiser(&self) -> &M {
        &self.denoiser
    }

    /// Noise levels of samples `x` `[B, ...]` by their distance to a guess `m` `[B, ...]` of the clean data.
    ///
    /// ```text
    /// sigma_eff² = (|x - m|² + D sigma²) / (N + D)
    /// ```
    ///
    /// # Errors
    ///
    /// Failures of the tensor backend.
    pub fn levels_near(&self, x: &Tensor, sigma: &[f64], m: &Tensor) -> Result<Vec<f64>> {
        let Dimension::Finite(d) = self.d else {
            return Ok(sigma.to_vec());
        };
        let squares = square_distances(x, m)?.into_iter().zip(sigma);
        Ok(squares
            .map(|(square, &sigma)| level_near(self.n, d, square, sigma))
            .collect())
    }

    /// Noise levels of samples `x` `[B, ...]` by their distance to the data mean ([`PosteriorNoise`]).
    ///
    /// # Errors
    ///
    /// Failures of the tensor backend.
    pub fn levels_about_mean(&self, x: &Tensor, sigma: &[f64]) -> Result<Vec<f64>> {
        if self.d.is_infinite() {
            return Ok(sigma.to_vec());
        }
        let squares = square_distances(x, &self.mean_like(x)?)?;
        let squares = squares.into_iter().zip(sigma);
        Ok(squares
            .map(|(square, &sigma)| self.posterior.sigma_eff(square, sigma))
            .collect())
    }

    /// The level s of `s² = level² + e(s)/(N+D)`.
    fn with_error(&self, error: &DenoisingError, mut level: f64) -> f64 {
        let (square, total) = (level * level, self.n as f64 + self.d.value());
        // e rises by less than N s² does, so each pass is nearer, from below.
        for _ in 0..MAX_PASSES {
            let next = (square + error.at(level) / total).sqrt();
            let done = next <= level * (1.0 + PRECISION);
            level = next;
            if done {
                break;
            }
        }
        level
    }

    /// The denoiser's estimates at `levels`, extended above its highest level.
    fn ask(&self, query: &Query, levels: &[f64]) -> Result<Tensor> {
        let at = |x, sigma| Query {
            x,
            sigma,
            guess: None,
            ..*query
        };
        if levels.iter().all(|&level| level <= self.sigma_max) {
            return self.denoiser.denoise(&at(query.x, levels));
        }
        let (shrink, levels) = self.extension(levels);
        let inside = self.about_mean(query.x, &shrink)?;
        self.about_mean(&self.denoiser.denoise(&at(&inside, &levels))?, &shrink)
    }

    /// `c = sigma_max / s` of each level s, 1 for those below `sigma_max`, and the levels held below it.
    fn extension(&self, levels: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let c = levels.iter().map(|s| (self.sigma_max / s).min(1.0));
        let bounded = levels.iter().map(|s| s.min(self.sigma_max));
        (c.collect(), bounded.collect())
    }

    /// `mean + c (v - mean)` of each sample; v itself, to the bit, where c is 1.
    fn about_mean(&self, v: &Tensor, c: &[f64]) -> Result<Tensor> {
        let mut column = vec![1; v.rank()];
        column[0] = c.len();
        let constant = |values: Vec<f64>| beside(values, &column[..], v);
        let rest = constant(c.iter().map(|c| 1.0 - c).collect())?;
        let mean = self
            .mean_like(v)?
            .to_dtype(v.dtype())?
            .to_device(v.device())?;
        v.broadcast_mul(&constant(c.to_vec())?)? + mean.broadcast_mul(&rest)?
    }

    /// The data mean as a batch of one of the shape of `x`, in `f64` on the host.
    fn mean_like(&self, x: &Tensor) -> Result<Tensor> {
        let mut shape = x.dims().to_vec();
        shape[0] = 1;
        self.data.mean().reshape(shape)
    }
}

impl<M: Denoiser> Denoiser for EffectiveNoise<M> {
    fn takes(&self) -> ConditionSpec {
        self.denoiser.takes()
    }

    fn denoise(&self, query: &Query) -> Result<Tensor> {
        if self.d.is_infinite() {
            return self.denoiser.denoise(query);
        }
        let (x, sigma) = (query.x, query.sigma);
        let levels = match (self.guess, query.guess) {
            (Guess::Previous, Some(m)) => {
                let mut levels = self.levels_near(x, sigma, m)?;
                self.add_denoising_error(&mut levels);
                levels
            }
            _ => self.levels_about_mean(x, sigma)?,
        };
        let mut denoised = self.ask(query, &levels)?;
        for _ in 1..self.guess.evaluations() {
            let mut levels = self.levels_near(x, sigma, &denoised)?;
            self.add_denoising_error(&mut levels);
            denoised = self.ask(query, &levels)?;
        }
        Ok(denoised.detach())
    }

    /// As the trait: through the level, which depends on x, and through all evaluations of a fixed point, each of
    /// which costs one more.
    ///
    /// [`Guess::Previous`] holds the guess fixed, as the trait does: it is an estimate from another x, and what it
    /// owes to this one is not counted.
    fn pullback(&self, query: &Query, v: &Tensor) -> Result<Pullback> {
        match self.d {
            Dimension::Infinite => self.denoiser.pullback(query, v),
            Dimension::Finite(d) => self.pull(query, d, v),
        }
    }
}

/// `sigma_eff² = (|x - m|² + D sigma²) / (N + D)`, of a squared distance.
fn level_near<R: Real>(n: usize, d: f64, square: R, sigma: R) -> R {
    let total = n as f64 + d;
    let (residual, nominal) = (total.recip(), d / total);
    (square * residual + sigma * nominal * sigma).sqrt()
}

/// `|x - m|²` of each sample in `f64`, `m` of shape `[B, ...]` or `[1, ...]`.
fn square_distances(x: &Tensor, m: &Tensor) -> Result<Vec<f64>> {
    let x = in_f64(x)?;
    let m = in_f64(m)?.to_device(x.device())?;
    let squares = x.broadcast_sub(&m)?.sqr()?.flatten_from(1)?.sum(1)?;
    squares.to_vec1()
}
