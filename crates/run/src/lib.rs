//! One run from configuration to scores.
//!
//! [`ResolvedRun`] is a [`RunConfig`](pfgmpp_config::RunConfig) with all that it names found; [`run`] takes it from nothing, or
//! from where it stopped, to scored samples in a [`RunFolder`]. It knows no terminal: an [`Observer`] is told how far it is.

mod cache;
mod class_scores;
mod classes_asked;
mod draw;
mod ending;
mod error;
mod error_curve;
mod evaluation;
mod evaluations;
mod feature_network;
mod folder;
mod follow;
mod free_memory;
mod grid;
mod groups;
mod guided;
mod held_out;
mod kept;
mod latent_file;
mod latents;
mod level_search;
mod levels_met;
mod levels_shown;
mod likelihood;
mod log;
mod memory;
mod moments;
mod monitor;
mod observer;
mod pairs;
mod paths;
mod post_hoc;
mod preflight;
mod preview;
mod references;
mod resolved;
mod restoring;
mod result;
mod run;
mod run_memory;
mod sample_file;
mod sample_set;
mod sampling_model;
mod score;
mod sealed;
mod starting;
mod stoppable;
mod table;
pub mod tensorboard;
mod training;

pub use class_scores::{ClassScore, ClassScores};
pub use draw::Draw;
pub use ending::check_drawable;
pub use error::RunError;
pub use evaluations::{Evaluated, read_evaluations};
pub use feature_network::{
    FeatureSource, check_feature_memory, feature_weights, load_feature_network,
};
pub use folder::RunFolder;
pub use follow::follow;
pub use free_memory::free_memory;
pub use grid::{sample_grid, sample_rows, square};
pub use kept::{missing_weights, refuse_lost};
pub use latent_file::LatentFile;
pub use level_search::FoundLevels;
pub use levels_met::{LevelMet, LevelsMet};
pub use likelihood::{DataLikelihood, ItemLikelihood, LIKELIHOOD_SOLVER, LikelihoodSummary};
pub use log::{LogLine, read_log};
pub use memory::load;
pub use observer::{Observer, Phase, Progress, StopFlag};
pub use paths::PlanePaths;
pub use post_hoc::{PostHoc, PostHocAverage};
pub use preflight::{Expected, Preflight, preflight};
pub use references::{Reference, reference_key, references};
pub use resolved::{Lookup, ResolvedRun, Weights};
pub use restoring::{RestorationMethod, Restoring};
pub use result::{Outcome, RunResult, check_config, check_sources, read_result};
pub use run::{lead, run};
pub use run_memory::{Ranks, RunMemory};
pub use sample_file::{SampleFile, SampleFormat};
pub use sample_set::{
    NO_NETWORK, SampleSet, SampleSetError, is_moments, network_of_moments, read_moments,
    save_moments,
};
pub use sampling_model::SamplingModel;
pub use sealed::{from_sealed_json, to_sealed_json};
pub use table::own_units;
