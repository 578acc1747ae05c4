//! Training: objectives, Adam, the average of the weights, one step after the other, resume.
//!
//! A [`Trainer`] holds weights and everything that changes them; [`Trainer::step`] takes the next batch.

mod adam;
mod augmented;
mod averages;
mod buckets;
mod config;
mod count;
mod ema;
mod error;
mod gradients;
mod identity;
mod learner;
mod learning_rate;
mod lengths;
mod many_d;
mod memory;
mod power;
pub mod ranks;
mod reconstruction;
mod sharing;
mod snapshots;
mod start_from;
mod state;
mod trainer;
mod tree_sum;

pub use adam::{Adam, AdamConfig};
pub use averages::Averages;
pub use config::{ConditionConfig, Method, Shown, TrainerConfig};
pub use count::count;
pub use ema::{Ema, EmaConfig, Profile};
pub use error::TrainError;
pub use learner::InTraining;
pub use learning_rate::LrSchedule;
pub use lengths::{NonFinite, TrainingConfig};
pub use memory::TrainingMemory;
pub use power::{MISSED, PostHocEmaConfig, PowerProfile, SIGMA_REL};
pub use reconstruction::{Moment, Reconstruction, reconstruct};
pub use snapshots::{Snapshot, reconstruct_weights};
pub use state::Validation;
pub use trainer::{MeanLoss, RankCosts, Step, Trainer};
