//! The PFGM++ perturbation kernel for every D in (0, infinity].
//!
//! PFGM++ (Xu et al. 2023, arXiv:2302.04265) perturbs N-dimensional data `y` to
//! `p_r(x|y) ∝ (|x-y|² + r²)^(-(N+D)/2)` with `r = sigma sqrt(D)`. This density *is* the multivariate
//! Student-t with D degrees of freedom and scale sigma, so that one chi-square number per sample turns
//! Gaussian noise into PFGM++ noise at any real D, and D = ∞ is diffusion:
//!
//! ```text
//! x = y + sigma sqrt(w) eps,   w = D / chi²_D,   eps ~ N(0, I_N)
//! ```
//!
//! - [`Dimension`]: D itself, read from `128`, `0.5` or `inf`.
//! - [`Kernel`]: perturbation, prior and log density; [`RadiusLaw`]: the law of `|x - y|`.
//! - [`SampleRng`]: one random stream per sample, whatever the batch, device and threads.
//! - [`Query`], [`Condition`]: what a model is asked and told.
//! - [`Denoiser`]: the interface between a model and whatever samples or scores it.
//! - [`ExactPosterior`]: the denoiser of a finite data set, without a network.
//!
//! The derivations and the numerical methods are in `docs/kernel.md`.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use pfgmpp_kernel::{Kernel, SampleRng, Stream};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let kernel = Kernel::new(64, "128".parse()?)?;
//! let y = Tensor::zeros((4, 1, 8, 8), DType::F32, &Device::Cpu)?;
//! let mut rngs = SampleRng::batch(0, Stream::Training, 0, 4);
//! let x = kernel.perturb(&y, &[0.1, 0.5, 2.0, 80.0], &mut rngs)?;
//! assert_eq!(x.dims(), y.dims());
//!
//! let median = kernel.radius_law(0.5)?.quantile(0.5);
//! assert!((median - 3.99).abs() < 0.001, "got {median}, want 3.990");
//! # Ok(())
//! # }
//! ```

mod condition;
mod denoiser;
mod density;
mod dimension;
mod kernel;
mod ln_gamma;
mod log_quantile;
mod log_radius;
mod mixture;
mod mixture_law;
mod noise;
mod posterior;
mod quadrature;
mod query;
mod radius;
mod rng;
mod score_table;
mod wide;

pub use condition::{Condition, ConditionError, ConditionSpec};
pub use denoiser::{Denoiser, Pullback};
pub use dimension::{Dimension, DimensionError};
pub use kernel::{Kernel, KernelError};
pub use ln_gamma::ln_gamma_ratio;
pub use noise::standard_normal;
pub use posterior::{ExactPosterior, PosteriorError};
pub use query::Query;
pub use radius::RadiusLaw;
pub use rng::{SampleRng, Stream};
pub use wide::{beside, column, in_f64, inner_products, squared_norms, widest_float};
