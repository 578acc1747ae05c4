//! Errors of training.

use std::path::PathBuf;

use pfgmpp_checkpoint::CheckpointError;
use pfgmpp_store::StoreError;

use crate::ranks::RankError;

/// Why training could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A file or folder that cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The saved state cannot be used.
    #[error("{}: cannot be used ({message}): remove this file to train from the beginning", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The saved state was trained on other data, as many and of the same shape.
    #[error(
        "{}: was trained on other data than {name} is now (fingerprint {there}, now {here}): put the data back as they were, \
         or, with training.start_from if these weights are to be gone on from, choose another folder",
        path.display()
    )]
    OtherData {
        /// The state.
        path: PathBuf,
        /// The data.
        name: String,
        /// What the state says of its data.
        there: String,
        /// What the data are now.
        here: String,
    },
    /// The loss is infinite or not a number.
    #[error(
        "the loss became {loss} after {nimg} images: {}",
        advice(*nimg)
    )]
    Diverged {
        /// Images seen.
        nimg: u64,
        /// The loss.
        loss: f64,
    },
    /// The gradient is infinite or not a number.
    #[error(
        "the norm of the gradient became {norm} after {nimg} images: {}",
        advice(*nimg)
    )]
    GradientDiverged {
        /// Images seen.
        nimg: u64,
        /// The norm of the gradient.
        norm: f64,
    },
    /// One step after the other had a loss or a gradient that was not finite.
    #[error(
        "the last {steps} steps were skipped, because their losses or gradients were not finite: {}",
        advice(1)
    )]
    Skipped {
        /// Steps in a row.
        steps: u64,
    },
    /// The weights, or what moves them, are infinite or not numbers.
    #[error(
        "after {nimg} images {name} is not finite, and is not saved: {}",
        advice(*nimg)
    )]
    NotFinite {
        /// Images seen.
        nimg: u64,
        /// What, as the state has it.
        name: String,
    },
    /// The weights that training is to start from are not those of its network.
    #[error("training.start_from: {reference}: its weights do not fit this training: {message}")]
    Start {
        /// The checkpoint.
        reference: String,
        /// What does not fit.
        message: String,
    },
    /// No network, and none that is started from.
    #[error("network: is missing, and no checkpoint was read that training.start_from names")]
    NoNetwork,
    /// A state or checkpoint could not be written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Data without classes for a network that is told them.
    #[error("condition classes needs data with classes: {0} has none")]
    NoClasses(String),
    /// Points for a network that is told how images were transformed.
    #[error("augment needs images of at least 2 by 2 pixels: those of {0} are smaller")]
    NoImages(String),
    /// The data cannot be used.
    #[error(transparent)]
    Data(#[from] pfgmpp_data::DataError),
    /// Ranks that cannot train together.
    #[error(transparent)]
    Ranks(#[from] RankError),
    /// A hyperparameter outside its range.
    #[error(transparent)]
    Parameter(#[from] pfgmpp_transfer::ParameterError),
    /// The kernel cannot be made.
    #[error(transparent)]
    Kernel(#[from] pfgmpp_kernel::KernelError),
    /// A failure of the tensor backend.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

impl TrainError {
    /// Whether every rank of a training meets it at the same step.
    #[must_use]
    pub fn is_of_all_ranks(&self) -> bool {
        matches!(
            self,
            Self::Diverged { .. }
                | Self::GradientDiverged { .. }
                | Self::Skipped { .. }
                | Self::Ranks(RankError::Shares { .. } | RankError::Differ { .. })
        )
    }
}

fn advice(nimg: u64) -> &'static str {
    match nimg {
        0 => "the noise law or the preconditioning leads outside the range of f32",
        _ => "lower optimizer.lr, or set the preconditioning's noise to effective",
    }
}
