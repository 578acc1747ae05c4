//! Samplers: from the Student-t prior along the field lines to the data.
//!
//! For every D the slope is `dx/dsigma = (x - E[y|x]) / sigma`; only the prior and the denoiser
//! differ (Xu et al. 2023, section 4). A solver sees a [`Slope`] and noise levels, nothing of the
//! model behind it.
//!
//! - [`euler`] and [`heun`] visit given levels; [`rk45`] finds its own steps, each sample for itself.
//! - [`Sampler`]: a [`Solver`] and a schedule, as configurations name them; from seeds to samples.

mod euler;
mod heun;
mod prior_radius;
mod rk45;
mod sampler;
mod slope;
mod solver;
mod state;

pub use euler::euler;
pub use heun::heun;
pub use rk45::{Rk45, Rk45Error, rk45};
pub use sampler::Sampler;
pub use slope::{DenoiserSlope, Evaluation, Slope};
pub use solver::Solver;
