//! The PFGM++ perturbation kernel for every D in (0, infinity].

mod denoiser;
mod density;
mod dimension;
mod kernel;
mod ln_gamma;
mod log_quantile;
mod log_radius;
mod mixture;
mod noise;
mod quadrature;
mod radius;
mod rng;

pub use denoiser::Denoiser;
pub use dimension::{Dimension, DimensionError};
pub use kernel::{Kernel, KernelError};
pub use ln_gamma::ln_gamma_ratio;
pub use noise::standard_normal;
pub use radius::RadiusLaw;
pub use rng::{SampleRng, Stream};
