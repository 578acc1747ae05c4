//! Samplers: from the Student-t prior along the field lines to the data.
//!
//! For every D the slope is `dx/dsigma = (x - E[y|x]) / sigma`; only the prior and the denoiser
//! differ (Xu et al. 2023, section 4). A solver sees a [`Slope`] and a list of noise levels, nothing
//! of the model behind it.
//!
//! Original PFGM is the case D = 1, where `sigma` is its z: its hemisphere projected to `z_max` is the
//! Student-t prior, its fixed-step methods in `ln z` are [`euler`] and [`heun`] on a geometric
//! schedule, and its field gives a denoiser `x - z v_x / v_z`.

mod churn;
mod rk45;
mod sampler;
mod slope;
mod steps;
mod trajectory;

pub use churn::{Churn, ChurnConfig, ChurnKind, posterior_scales, raise};
pub use rk45::{Tolerance, rk45};
pub use sampler::{Sampler, Solver};
pub use slope::{DenoiserSlope, Evaluation, Slope};
pub use steps::{euler, heun};
pub use trajectory::{Trajectory, Watch};
