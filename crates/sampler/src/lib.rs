//! Samplers: from the Student-t prior along the field lines to the data.
//!
//! For every D the slope is `dx/dsigma = (x - E[y|x]) / sigma`; only the prior and the denoiser
//! differ (Xu et al. 2023, section 4). A solver sees a [`Slope`] and noise levels, nothing of the
//! model behind it.
//!
//! - [`euler`] and [`heun`] visit given levels; [`rk45`] finds its own steps, each sample for itself.
//! - [`Churn`] puts noise back between the steps; [`raise_posterior`] does it by the law of every D.
//! - [`Sampler`]: a [`Solver`] and a schedule, as configurations name them; from seeds to samples, or
//!   to their [`Trajectory`].

mod churn;
mod euler;
mod heun;
mod observer;
mod prior_radius;
mod raise;
mod rk45;
mod sampler;
mod slope;
mod solver;
mod state;
mod trajectory;

pub use churn::{Churn, ChurnKind};
pub use euler::euler;
pub use heun::heun;
pub use raise::{raise_gaussian, raise_posterior};
pub use rk45::{Rk45, Rk45Error, rk45};
pub use sampler::Sampler;
pub use slope::{DenoiserSlope, Evaluation, Slope};
pub use solver::Solver;
pub use trajectory::Trajectory;
