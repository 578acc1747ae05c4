//! Training: Adam, EMA, the loop, resume, TensorBoard.
//!
//! [`run`] takes a [`RunConfig`] from nothing, or from where it stopped, to scored samples in a
//! [`RunFolder`]. It knows no terminal: an [`Observer`] is told how far it is.

mod adam;
mod averages;
mod config;
mod draw;
mod ema;
mod error;
mod evaluation;
mod folder;
mod grid;
mod held_out;
mod learner;
mod model;
mod monitor;
mod observer;
mod paths;
mod preflight;
mod run;
mod score;
mod state;
pub mod tensorboard;
mod trainer;
mod training;
pub mod yaml;

pub use adam::{Adam, AdamConfig};
pub use averages::Averages;
pub use config::{
    CheckpointSource, Method, ModelConfig, RunConfig, ScoringConfig, TrainedModel, TrainingConfig,
};
pub use draw::Draw;
pub use ema::{Ema, EmaConfig};
pub use error::RunError;
pub use folder::{LogLine, RunFolder, lock, read_log};
pub use grid::sample_grid;
pub use model::SamplingModel;
pub use observer::{Observer, Phase, Progress, StopFlag};
pub use paths::PlanePaths;
pub use preflight::preflight;
pub use run::{Outcome, RunResult, check_config, read_result, run};
pub use score::{Reference, Scores, references};
pub use trainer::{MeanLoss, Step, Trainer};
