//! Errors of a run.

use std::io;
use std::path::{Path, PathBuf};

use pfgmpp_checkpoint::CheckpointError;

use crate::yaml::ConfigError;

/// Why a run could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A configuration that cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// Another process holds the folder.
    #[error("{}: in use by another process: wait for it or choose another folder with --out", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A file stands where a folder is needed.
    #[error("{}: is a file, a folder is needed: choose another place with --out", path.display())]
    NoFolder {
        /// The file.
        path: PathBuf,
    },
    /// The folder holds a run of another configuration.
    #[error("{}: holds a run of another configuration ({difference}): choose another folder with --out, or remove this one", path.display())]
    OtherConfig {
        /// The folder.
        path: PathBuf,
        /// The first difference.
        difference: String,
    },
    /// The disk has no room for the results.
    #[error("{}: the results need about {needed_mib} MiB, {free_mib} MiB are free: make room or choose another folder with --out", path.display())]
    Space {
        /// The folder.
        path: PathBuf,
        /// MiB that the results need.
        needed_mib: u64,
        /// MiB that are free.
        free_mib: u64,
    },
    /// The saved state cannot be used.
    #[error("{}: cannot be used ({message}): remove the run folder to start over", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
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
    /// The model's samples are infinite or not numbers.
    #[error(
        "the samples are not finite: the weights are not, or the sampler is not for this model"
    )]
    NotFinite,
    /// The model's samples cannot be compared with the data.
    #[error("the samples cannot be scored: {0}")]
    Score(#[from] pfgmpp_metrics::MetricError),
    /// A checkpoint could not be written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
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

fn advice(nimg: u64) -> &'static str {
    match nimg {
        0 => "the noise law or the preconditioning leads outside the range of f32",
        _ => "lower optimizer.lr, or set the preconditioning's noise to effective",
    }
}

impl RunError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, source }
    }

    /// Whether the user can mend it by changing what was asked for, or where to.
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Config(_)
            | Self::InUse { .. }
            | Self::OtherConfig { .. }
            | Self::Space { .. }
            | Self::NoFolder { .. }
            | Self::State { .. } => true,
            Self::Io { source, .. } => is_about_place(source),
            Self::Data(e) => e.is_bad_input() || e.io_error().is_some_and(is_about_place),
            // One that is read was named by the user; one that is written fails by its place only.
            Self::Checkpoint(e) => !e.is_outage() && e.io_error().is_none_or(is_about_place),
            _ => false,
        }
    }
}

/// A full disk, a missing file or a folder that may not be written: the place was chosen badly.
fn is_about_place(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::NotFound
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::AlreadyExists
            | io::ErrorKind::InvalidFilename
    )
}
