//! Training: objectives, Adam, the average of the weights, one step after the other, resume.
//!
//! A [`Trainer`] holds weights and everything that changes them; [`Trainer::step`] takes the next batch.

mod adam;
mod averages;
mod config;
mod count;
mod ema;
mod error;
mod identity;
mod learner;
mod lengths;
mod memory;
mod state;
mod trainer;

pub use adam::{Adam, AdamConfig};
pub use averages::Averages;
pub use config::{ConditionConfig, Method, TrainerConfig};
pub use count::count;
pub use ema::{Ema, EmaConfig};
pub use error::TrainError;
pub use learner::InTraining;
pub use lengths::TrainingConfig;
pub use memory::TrainingMemory;
pub use trainer::{MeanLoss, Step, Trainer};
