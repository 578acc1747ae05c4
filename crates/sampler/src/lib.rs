//! Samplers: from the Student-t prior along the field lines to the data.
//!
//! For every D the slope is `dx/dsigma = (x - E[y|x]) / sigma`; only the prior and the denoiser
//! differ (Xu et al. 2023, section 4). A solver sees a [`Slope`] and a list of noise levels, nothing
//! of the model behind it.

mod heun;
mod sampler;
mod slope;

pub use heun::heun;
pub use sampler::{Sampler, Solver};
pub use slope::{DenoiserSlope, Slope};
