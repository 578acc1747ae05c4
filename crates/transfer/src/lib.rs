//! From `sigma` to `r`: what a diffusion setup becomes at any D.
//!
//! PFGM++ reaches its results by keeping every hyperparameter of a diffusion model in `sigma` and
//! mapping it to the radius of the D extra coordinates by `r = sigma sqrt(D)` (Xu et al. 2023,
//! arXiv:2302.04265, section 4). This crate holds those hyperparameters: noise laws, schedules and
//! preconditioning (Karras et al. 2022, arXiv:2206.00364, table 1), and the effective noise level
//! that keeps preconditioning bounded at small D.

mod data_moments;
mod ddpm;
mod denoising_error;
mod dual;
mod effective_noise;
mod field_prediction;
mod iddpm;
mod levels;
mod lift;
mod noise_law;
mod parameter;
mod preconditioning;
mod radius;
mod real;
mod schedule;
mod translation;
mod vp;

pub use data_moments::DataMoments;
pub use ddpm::{BetaSchedule, DdpmLevels};
pub use denoising_error::DenoisingError;
pub use dual::Dual;
pub use effective_noise::{DataScale, PosteriorNoise};
pub use field_prediction::{FieldPrediction, MAX_GAMMA};
pub use iddpm::IddpmLevels;
pub use levels::Levels;
pub use lift::{EffectiveNoise, Guess};
pub use noise_law::NoiseLaw;
pub use parameter::ParameterError;
pub use preconditioning::{
    Coefficients, ConsistencyPreconditioning, DdpmOutput, DdpmPreconditioning, EdmPreconditioning,
    IddpmPreconditioning, NoiseLevel, Preconditioning, VePreconditioning, VpPreconditioning,
};
pub use radius::{r_from_sigma, sigma_from_r};
pub use real::Real;
pub use schedule::{
    EdmSchedule, ExplicitSchedule, FlowSchedule, GeometricSchedule, IddpmSchedule, RoundedSchedule,
    Schedule, VeSchedule, VpSchedule,
};
pub use translation::{EffectiveLevel, Quantiles, Translation};
pub use vp::VpProcess;
