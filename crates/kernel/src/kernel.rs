//! The perturbation kernel `p_r(x | y)` as a scale mixture of Gaussians.

use candle_core::{DType, Device, Tensor};
use rand::Rng;

use crate::Dimension;
use crate::mixture::{ChiSquare, MixtureScale, draw_score};
use crate::noise::scaled_noise;

/// A kernel that cannot be made, or a batch that it cannot perturb.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The data have no dimension.
    #[error("n must be at least 1, got {0}")]
    DataDimension(usize),
    /// D is not positive.
    #[error(transparent)]
    Dimension(#[from] crate::DimensionError),
    /// A noise level is negative or not finite.
    #[error("sigma[{index}] must be a finite number of at least 0, got {value}")]
    Sigma {
        /// Position in the batch.
        index: usize,
        /// The refused noise level.
        value: f64,
    },
    /// A law of the radius needs a positive noise level.
    #[error("sigma must be a positive finite number, got {0}")]
    LawSigma(f64),
    /// The sample's number of values is not N.
    #[error("a sample must have n = {n} values, got {got} (shape {shape:?})")]
    SampleSize {
        /// The kernel's data dimension.
        n: usize,
        /// Values per sample found.
        got: usize,
        /// The refused shape.
        shape: Vec<usize>,
    },
    /// The lengths of batch, noise levels and generators differ.
    #[error("{name} must have one entry for each of the {batch} samples, got {got}")]
    BatchSize {
        /// The argument of unlike length.
        name: &'static str,
        /// Samples in the batch.
        batch: usize,
        /// Entries found.
        got: usize,
    },
    /// Noise exists in single and double precision only.
    #[error("dtype must be f32 or f64, got {}", .0.as_str())]
    DType(DType),
    /// The tensor backend failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

impl From<KernelError> for candle_core::Error {
    fn from(error: KernelError) -> Self {
        match error {
            KernelError::Tensor(error) => error,
            other => Self::wrap(other),
        }
    }
}

/// The PFGM++ perturbation kernel of N-dimensional data with D extra coordinates.
///
/// ```text
/// p_r(x|y) ∝ (|x-y|² + r²)^(-(N+D)/2),  r = sigma sqrt(D)
/// x = y + sigma sqrt(w) eps,  w = D / chi²_D  (1 at D = ∞),  eps ~ N(0, I_N)
/// ```
///
/// This is the multivariate Student-t with D degrees of freedom and scale sigma, Gaussian at D = ∞
/// (the kernel: Xu et al. 2023, arXiv:2302.04265; the identity is derived in `docs/kernel.md`).
#[derive(Clone, Debug)]
pub struct Kernel {
    n: usize,
    d: Dimension,
    scale: MixtureScale,
    /// The law of chi² with N + D degrees of freedom, of the posterior of the scale.
    posterior: Option<ChiSquare>,
}

impl Kernel {
    /// The kernel of data with `n` values per sample and `d` extra coordinates.
    ///
    /// # Errors
    ///
    /// [`KernelError`] when `n` is 0 or `d` is a `Finite` that is not positive and finite.
    pub fn new(n: usize, d: Dimension) -> Result<Self, KernelError> {
        if n == 0 {
            return Err(KernelError::DataDimension(n));
        }
        let d = Dimension::new(d.value())?;
        let posterior = match d {
            Dimension::Finite(d) => Some(ChiSquare::new(n as f64 + d)),
            Dimension::Infinite => None,
        };
        Ok(Self {
            n,
            d,
            scale: MixtureScale::new(d),
            posterior,
        })
    }

    /// The data dimension N.
    #[must_use]
    pub fn n(&self) -> usize {
        self.n
    }

    /// The number of extra coordinates D.
    #[must_use]
    pub fn d(&self) -> Dimension {
        self.d
    }

    /// Draws the true noise scale `s` of a sample that lies `distance` from its data point, at
    /// `sigma > 0`: the posterior of `s = sigma sqrt(w)`; `sigma` itself at D = ∞. Takes one normal from `rng` at every D.
    ///
    /// ```text
    /// s² ~ InvGamma((N+D)/2, (distance² + D sigma²)/2)
    /// ```
    pub fn draw_posterior_scale<R: Rng + ?Sized>(
        &self,
        distance: f64,
        sigma: f64,
        rng: &mut R,
    ) -> f64 {
        let (Dimension::Finite(d), Some(chi_square)) = (self.d, &self.posterior) else {
            draw_score(rng);
            return sigma;
        };
        let ln_half = chi_square.draw_ln_half(rng);
        // In units of sigma, and by its logarithm: no square overflows.
        let ratio = (distance / sigma).hypot(d.sqrt());
        sigma * (ratio.ln() - 0.5 * (ln_half + std::f64::consts::LN_2)).exp()
    }

    /// Draws the mixture scale sqrt(w), `w = D / chi²_D`; exactly 1 at D = ∞.
    ///
    /// It is the quantile of its law at the probability of one normal that `rng` gives, at every D: for one state of
    /// `rng` it is continuous in D up to ∞, and the generator stands at the same place after it.
    ///
    /// The result is held within [1e-150, 1e150], so that it and its square are finite at every D.
    /// The chance of meeting the upper bound is that of `sqrt(w) > s` at s = 1e150, about
    ///
    /// ```text
    /// P(sqrt(w) > s) ≈ (D / (2 s²))^(D/2) / Γ(1 + D/2)
    /// ```
    ///
    /// which is 1e-75 at D = 0.5 and 1e-15 at D = 0.1.
    pub fn draw_mixture_scale<R: Rng + ?Sized>(&self, rng: &mut R) -> f64 {
        self.scale.draw(rng)
    }

    /// Perturbs a batch: `x = y + sigma sqrt(w) eps`, sample `b` drawing from `rngs[b]` alone.
    ///
    /// - `y`: clean data, shape `[B, ...]` with N values per sample, `f32` or `f64`.
    /// - `sigma`: noise level of each sample, length `B`, in units of the data; 0 leaves `y` as it is.
    /// - `rngs`: one generator per sample; each gives a normal for its mixture scale first, then the N of eps: the same for every D.
    ///
    /// Returns the shape, dtype and device of `y`. All draws are `f64`, rounded once, and made in
    /// parallel over samples in the current rayon pool. `sigma sqrt(w)` is held below 1e36 for `f32`
    /// and 1e300 for `f64`, so that no draw overflows: at D = 0.5 and sigma = 80 that meets a sample in
    /// 1e17, at D = 0.1 one in 3,000 (the formula of [`Kernel::draw_mixture_scale`]).
    ///
    /// # Errors
    ///
    /// [`KernelError`] on unlike lengths, a sample size other than N, a negative or non-finite sigma,
    /// another dtype, and failures of the tensor backend.
    pub fn perturb<R: Rng + Send>(
        &self,
        y: &Tensor,
        sigma: &[f64],
        rngs: &mut [R],
    ) -> Result<Tensor, KernelError> {
        let dims = y.dims();
        let batch = dims.first().copied().unwrap_or(0);
        check_length("sigma", batch, sigma.len())?;
        check_length("rngs", batch, rngs.len())?;
        check_sigma(sigma)?;
        let noise = self.noise(dims.get(1..).unwrap_or(&[]), sigma, rngs, y)?;
        Ok((y + noise)?)
    }

    /// Draws the prior: Student-t noise of scale `sigma_max` around zero, shape `[B, shape...]`.
    ///
    /// `shape` is that of one sample and B the number of generators. Draws, dtype and bounds are those
    /// of [`Kernel::perturb`] with `y = 0`.
    ///
    /// # Errors
    ///
    /// Those of [`Kernel::perturb`].
    pub fn prior<R: Rng + Send>(
        &self,
        shape: &[usize],
        sigma_max: f64,
        rngs: &mut [R],
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor, KernelError> {
        check_sigma(&[sigma_max])?;
        self.check_sample(shape)?;
        let bound = largest_scale(dtype);
        scaled_noise(shape, rngs, dtype, device, |_, rng| {
            (sigma_max * self.scale.draw(rng)).min(bound)
        })
    }

    fn noise<R: Rng + Send>(
        &self,
        shape: &[usize],
        sigma: &[f64],
        rngs: &mut [R],
        like: &Tensor,
    ) -> Result<Tensor, KernelError> {
        self.check_sample(shape)?;
        let bound = largest_scale(like.dtype());
        scaled_noise(shape, rngs, like.dtype(), like.device(), |b, rng| {
            (sigma[b] * self.scale.draw(rng)).min(bound)
        })
    }

    fn check_sample(&self, shape: &[usize]) -> Result<(), KernelError> {
        let got = shape.iter().product();
        if got == self.n {
            return Ok(());
        }
        Err(KernelError::SampleSize {
            n: self.n,
            got,
            shape: shape.to_vec(),
        })
    }
}

/// The bound on `sigma sqrt(w)`: normal draws stay below 14, so the noise stays finite.
fn largest_scale(dtype: DType) -> f64 {
    if dtype == DType::F32 { 1e36 } else { 1e300 }
}

fn check_length(name: &'static str, batch: usize, got: usize) -> Result<(), KernelError> {
    if got == batch {
        return Ok(());
    }
    Err(KernelError::BatchSize { name, batch, got })
}

fn check_sigma(sigma: &[f64]) -> Result<(), KernelError> {
    let refused = sigma.iter().position(|s| !(s.is_finite() && *s >= 0.0));
    match refused {
        Some(index) => Err(KernelError::Sigma {
            index,
            value: sigma[index],
        }),
        None => Ok(()),
    }
}
