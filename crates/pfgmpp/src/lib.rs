//! PFGM++ for every D from 0.1 to infinity: what a program of your own needs.
//!
//! PFGM++ (Xu et al. 2023, arXiv:2302.04265) puts Poisson flow models (D = 1) and diffusion models (D = ∞) on one line.
//! A model is a [`Denoiser`]: it estimates the clean data behind perturbed data. Everything else works with any denoiser
//! at any D: the exact posterior of points ([`ExactPosterior`]), a network of yours or of ours ([`Preconditioned`]), a
//! checkpoint of this or another program ([`Model::load`]), a diffusion model lifted to another D ([`EffectiveNoise`]).
//!
//! ```
//! use candle_core::{Device, Tensor};
//! use pfgmpp::{Condition, Dimension, Euler, ExactPosterior, Kernel, Levels, Sampler};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let device = Device::Cpu;
//! let points = Tensor::new(&[[-1.0f64, 0.0], [1.0, 0.5]], &device)?;
//! let d = Dimension::new(8.0)?;
//! let model = ExactPosterior::new(&points, d)?;
//! let levels = Levels::new(vec![80.0, 20.0, 5.0, 1.0, 0.1, 0.0])?;
//! let kernel = Kernel::new(2, d)?;
//! let samples = Sampler::new(Euler, levels)?.sample(
//!     &model, Condition::unconditional(), &kernel, &[2], &[0, 1, 2, 3], &device,
//! )?;
//! assert_eq!(samples.dims(), [4, 2]);
//! # Ok(())
//! # }
//! ```
//!
//! The crates behind it are modules here, complete: [`kernel`], [`transfer`], [`objective`], [`sampler`], [`nn`],
//! [`checkpoint`], [`data`], [`features`], [`hub`], [`metrics`], [`train`]. The most used items are re-exported at the top level. Configuration files,
//! sweeps, reports and TensorBoard belong to the binary and are not part of it.
//!
//! # Sample a checkpoint
//!
//! ```no_run
#![doc = include_str!("../examples/sample_checkpoint.rs")]
//! ```
//!
//! # Train a network of your own
//!
//! ```no_run
#![doc = include_str!("../examples/train_own_network.rs")]
//! ```
//!
//! # Write a solver
//!
//! ```no_run
#![doc = include_str!("../examples/write_a_solver.rs")]
//! ```
//!
//! # Sample the exact posterior of points
//!
//! ```no_run
#![doc = include_str!("../examples/exact_posterior.rs")]
//! ```

pub use {
    pfgmpp_checkpoint as checkpoint, pfgmpp_data as data, pfgmpp_features as features,
    pfgmpp_hub as hub, pfgmpp_kernel as kernel, pfgmpp_metrics as metrics, pfgmpp_nn as nn,
    pfgmpp_objective as objective, pfgmpp_sampler as sampler, pfgmpp_train as train,
    pfgmpp_transfer as transfer,
};

pub use pfgmpp_checkpoint::{Checkpoint, Model};
pub use pfgmpp_kernel::{
    Condition, ConditionSpec, Denoiser, Dimension, ExactPosterior, Kernel, Pullback, Query,
    SampleRng, Stream,
};
pub use pfgmpp_metrics::{energy_distance, sliced_wasserstein};
pub use pfgmpp_nn::{Context, Network, Parameters, Preconditioned};
pub use pfgmpp_objective::{TrainingModel, UnbiasedObjective, Weighted};
pub use pfgmpp_sampler::{
    Euler, Evaluation, Heun, Integration, Midpoint, Path, Rk45, Sampler, SamplerConfig, Solver,
    SolverConfig, Step,
};
pub use pfgmpp_train::{Adam, AdamConfig, InTraining};
pub use pfgmpp_transfer::{
    DataMoments, DataScale, EdmPreconditioning, EdmSchedule, EffectiveNoise, Guess, Levels,
    NoiseLaw, NoiseLevel, ParameterError, Preconditioning, Schedule,
};
