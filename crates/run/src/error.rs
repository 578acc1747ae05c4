//! Errors of a run.

use std::io;
use std::path::{Path, PathBuf};

use pfgmpp_checkpoint::CheckpointError;
use pfgmpp_config::ConfigError;
use pfgmpp_features::FeatureError;
use pfgmpp_store::{StoreError, is_about_place};
use pfgmpp_train::TrainError;
use pfgmpp_train::ranks::RankError;

/// Why a run could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A configuration that cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file or folder that cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Training that could not go on.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The folder holds a run of another configuration.
    #[error("{}: holds a run of another configuration ({difference}): choose another folder", path.display())]
    OtherConfig {
        /// The folder.
        path: PathBuf,
        /// The first difference.
        difference: String,
    },
    /// The folder holds what a run has left, and not what run that is.
    #[error(
        "{}: holds {found} of a run and no config.yaml: put the config.yaml back that it had to go on with it, or choose another \
         folder",
        path.display()
    )]
    NoConfig {
        /// The folder.
        path: PathBuf,
        /// What is there.
        found: &'static str,
    },
    /// The folder holds a finished run on other data.
    #[error(
        "{}: holds a finished run on other data than {name} is now (fingerprint {there}, now {here}): put the data back as \
         they were, remove the folder to run it again, or choose another folder",
        path.display()
    )]
    OtherData {
        /// The folder.
        path: PathBuf,
        /// The data.
        name: String,
        /// What the result says of its data.
        there: String,
        /// What the data are now.
        here: String,
    },
    /// The folder holds a finished run of other weights.
    #[error(
        "{}: holds a finished run that was {how} other weights than {name} has now: put them back as they were, remove the \
         folder to run it again, or choose another folder",
        path.display()
    )]
    OtherWeights {
        /// The folder.
        path: PathBuf,
        /// What was done with them.
        how: &'static str,
        /// The network or checkpoint.
        name: String,
    },
    /// The disk has no room for the results.
    #[error("{}: the results need about {needed_mib} MiB, {free_mib} MiB are free: make room or choose another folder", path.display())]
    Space {
        /// The folder.
        path: PathBuf,
        /// MiB that the results need.
        needed_mib: u64,
        /// MiB that are free.
        free_mib: u64,
    },
    /// The result of a run cannot be used.
    #[error("{}: cannot be used ({message}): remove this file to score the run again from its saved state", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A finished run has neither its weights nor the state that they could be written from.
    #[error(
        "{}: the run is finished, but its weights are gone ({problem}) and so is state/, from which they could be written \
         anew: put either back, or remove metrics.json there to train again from the first image",
        path.display()
    )]
    Lost {
        /// The folder of the run.
        path: PathBuf,
        /// What is wrong with the weights.
        problem: String,
    },
    /// The memory does not suffice.
    #[error("{key}: {value}: needs about {} of memory, {} are free{of}: {advice}", in_words(*needed), in_words(*free))]
    Memory {
        /// What asks for it, as a configuration or the command line names it.
        key: String,
        /// What it is set to.
        value: String,
        /// Bytes that are needed.
        needed: u64,
        /// Bytes that are free.
        free: u64,
        /// For whom, where other processes train on the same machine.
        of: String,
        /// What to change.
        advice: String,
    },
    /// A stop was asked for and nothing was left to save.
    #[error("stopped")]
    Stopped,
    /// The model's samples are infinite or not numbers.
    #[error(
        "the samples are not finite: the weights are not, or the sampler is not for this model"
    )]
    NotFinite,
    /// A likelihood is infinite or not a number.
    #[error(
        "the log-density of item {0} is not finite: the weights are not, or the sampler is not for this model"
    )]
    LikelihoodNotFinite(usize),
    /// The model's samples cannot be compared with the data.
    #[error("the samples cannot be scored: {0}")]
    Score(#[from] pfgmpp_metrics::MetricError),
    /// Samples that were given cannot be scored.
    #[error(transparent)]
    SampleSet(#[from] crate::sample_set::SampleSetError),
    /// A checkpoint could not be written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A network that scores look through cannot be used, or cannot look.
    #[error(transparent)]
    Features(FeatureError),
    /// The data cannot be used.
    #[error(transparent)]
    Data(#[from] pfgmpp_data::DataError),
    /// Samples could not be drawn as a picture.
    #[error(transparent)]
    Picture(#[from] pfgmpp_data::PictureError),
    /// TensorBoard events could not be written.
    #[error(transparent)]
    Events(#[from] crate::tensorboard::EventError),
    /// The kernel cannot be made.
    #[error(transparent)]
    Kernel(#[from] pfgmpp_kernel::KernelError),
    /// The data have no exact posterior.
    #[error(transparent)]
    Posterior(#[from] pfgmpp_kernel::PosteriorError),
    /// A failure of the tensor backend.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

impl From<FeatureError> for RunError {
    fn from(error: FeatureError) -> Self {
        match error {
            FeatureError::Stopped => Self::Stopped,
            FeatureError::Backend(error) => error.into(),
            other => Self::Features(other),
        }
    }
}

impl RunError {
    /// What makes an error about `path` of a failure of the file system.
    pub fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let error = StoreError::io(path);
        move |source| Self::Store(error(source))
    }

    /// Whether the message ends by asking for another folder, so that a program can add how one is named.
    pub fn wants_another_folder(&self) -> bool {
        match self {
            Self::OtherConfig { .. }
            | Self::NoConfig { .. }
            | Self::OtherData { .. }
            | Self::OtherWeights { .. }
            | Self::Space { .. }
            | Self::Train(TrainError::OtherData { .. }) => true,
            Self::Store(e) | Self::Train(TrainError::Store(e)) => e.wants_another_folder(),
            _ => false,
        }
    }

    /// Whether the user can mend it by changing what was asked for, or where to.
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Config(_)
            | Self::OtherConfig { .. }
            | Self::NoConfig { .. }
            | Self::OtherData { .. }
            | Self::OtherWeights { .. }
            | Self::Space { .. }
            | Self::Memory { .. }
            | Self::SampleSet(_)
            | Self::Features(_)
            | Self::State { .. }
            | Self::Lost { .. }
            | Self::Train(
                TrainError::State { .. }
                | TrainError::OtherData { .. }
                | TrainError::Start { .. }
                | TrainError::Ranks(RankError::Shares { .. } | RankError::Differ { .. }),
            ) => true,
            Self::Store(e) | Self::Train(TrainError::Store(e)) => e.is_about_place(),
            Self::Data(e) | Self::Train(TrainError::Data(e)) => {
                e.is_bad_input() || e.io_error().is_some_and(is_about_place)
            }
            Self::Events(e) => is_about_place(e.io_error()),
            // One that is read was named by the user; one that is written fails by its place only.
            Self::Checkpoint(e) | Self::Train(TrainError::Checkpoint(e)) => {
                !e.is_outage() && e.io_error().is_none_or(is_about_place)
            }
            _ => false,
        }
    }
}

/// Bytes in MiB or GiB.
pub(crate) fn in_words(bytes: u64) -> String {
    let mib = bytes as f64 / (1u64 << 20) as f64;
    match mib {
        ..1024.0 => format!("{mib:.0} MiB"),
        _ => format!("{:.1} GiB", mib / 1024.0),
    }
}
