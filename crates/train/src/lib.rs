//! Training: Adam, EMA, the loop, resume, TensorBoard.
//!
//! [`run`] takes a [`RunConfig`] from nothing, or from where it stopped, to scored samples in a
//! [`RunFolder`]. It knows no terminal: an [`Observer`] is told how far it is.

mod adam;
mod config;
mod ema;
mod error;
mod folder;
mod grid;
mod in_place;
mod monitor;
mod observer;
mod preflight;
mod run;
mod score;
mod state;
pub mod tensorboard;
mod trainer;
pub mod yaml;

pub use adam::{Adam, AdamConfig};
pub use config::{Objective, RunConfig, ScoringConfig, TrainingConfig};
pub use ema::{Ema, EmaConfig};
pub use error::RunError;
pub use folder::{LogLine, RunFolder, lock, read_log};
pub use grid::sample_grid;
pub use observer::{Observer, Phase, Progress, StopFlag};
pub use preflight::preflight;
pub use run::{Outcome, RunResult, check_config, read_result, run};
pub use score::{Reference, Scores, references};
pub use trainer::{MeanLoss, Step, Trainer};
