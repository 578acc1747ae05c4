//! One run from configuration to scores.
//!
//! [`run`] takes a [`RunConfig`](pfgmpp_config::RunConfig) from nothing, or from where it stopped, to scored
//! samples in a [`RunFolder`]. It knows no terminal: an [`Observer`] is told how far it is.

mod class_scores;
mod classes_asked;
mod draw;
mod ending;
mod error;
mod error_curve;
mod evaluation;
mod fetch;
mod folder;
mod free_memory;
mod grid;
mod groups;
mod guided;
mod held_out;
mod latents;
mod level_search;
mod levels_met;
mod levels_shown;
mod likelihood;
mod log;
mod memory;
mod monitor;
mod observer;
mod paths;
mod preflight;
mod preview;
mod restoring;
mod result;
mod run;
mod sample_file;
mod sample_set;
mod sampling_model;
mod score;
mod stoppable;
pub mod tensorboard;
mod training;

pub use class_scores::{ClassScore, ClassScores};
pub use draw::Draw;
pub use ending::check_drawable;
pub use error::RunError;
pub use fetch::fetch;
pub use folder::RunFolder;
pub use free_memory::free_memory;
pub use grid::{sample_grid, sample_rows, square};
pub use level_search::FoundLevels;
pub use levels_met::{LevelMet, LevelsMet};
pub use likelihood::{DataLikelihood, ItemLikelihood, LIKELIHOOD_SOLVER, LikelihoodSummary};
pub use log::{LogLine, read_log};
pub use memory::{RunMemory, load};
pub use observer::{Observer, Phase, Progress, StopFlag};
pub use paths::PlanePaths;
pub use preflight::{Preflight, preflight};
pub use restoring::{RestorationMethod, Restoring};
pub use result::{Outcome, RunResult, check_config, read_result};
pub use run::run;
pub use sample_file::{SampleFile, SampleFormat};
pub use sample_set::{SampleSet, SampleSetError, is_moments, read_moments, save_moments};
pub use sampling_model::SamplingModel;
pub use score::{Reference, references};
