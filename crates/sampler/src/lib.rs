//! Samplers: from the Student-t prior along the field lines to the data.
//!
//! For every D the slope is `dx/dsigma = (x - E[y|x]) / sigma`; only the prior and the denoiser
//! differ (Xu et al. 2023, section 4). A [`Solver`] takes one step after another from one noise level to the next;
//! [`Integration`] is the loop around it, down the levels to sample and up to encode. A solver sees a [`Path`], nothing
//! of the model behind it.
//!
//! Original PFGM is the case D = 1, where `sigma` is its z: its hemisphere projected to `z_max` is the
//! Student-t prior, its fixed-step methods in `ln z` are [`Euler`] and [`Heun`] on a geometric
//! schedule, and its field gives a denoiser `x - z v_x / v_z`.

mod before_step;
mod churn;
mod classes;
mod config;
#[cfg(test)]
mod conformance;
mod guidance;
mod integration;
mod interpolation;
mod level_search;
mod likelihood;
mod noise_levels;
mod path;
mod restoration;
mod sampler;
mod self_timed;
mod solver;
mod start;
mod trajectory;

pub use before_step::{BeforeStep, InjectedNoise};
pub use churn::{Churn, ChurnConfig, ChurnKind, posterior_scales, raise};
pub use classes::Classes;
pub use config::SamplerConfig;
pub use guidance::{Guidance, Guided, WithoutClasses};
pub use integration::Integration;
pub use interpolation::interpolate;
pub use level_search::{GridTrajectories, LevelSearch};
pub use likelihood::{
    Likelihood, LogDensities, MAX_EXACT_N, ProbeKind, TerminalLaw, Trace, draw_probes,
};
pub use noise_levels::noise_levels;
pub use path::{Evaluation, Past, Path};
pub use restoration::{
    BoxAverage, ConjugateGradients, Corruption, Covariance, Dps, ExactConditional, Identity,
    JointNoise, Mask, Mmps, Observation, Operator,
};
pub use sampler::Sampler;
pub use self_timed::{SelfTimed, TimedStep};
pub use solver::*;
pub use start::StartFromCondition;
pub use trajectory::{Trajectory, Watch};
