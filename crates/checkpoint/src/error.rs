//! Errors of reading and writing checkpoints.

use std::io;
use std::path::{Path, PathBuf};

use pfgmpp_hub::HubError;

use crate::foreign::ForeignError;

/// Why a checkpoint could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// The folder holds no checkpoint.
    #[error("{}: no checkpoint here: a folder with config.json and model.safetensors, a run folder or a diffusers folder is needed", path.display())]
    Missing {
        /// The folder that was named.
        path: PathBuf,
    },
    /// `config.json` is not what this version writes.
    #[error("{}: {message}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The weights do not belong to the configuration, or were damaged.
    #[error("{}: the weights have checksum {got}, config.json says {want}: copy the checkpoint again", path.display())]
    Checksum {
        /// The weights file.
        path: PathBuf,
        /// SHA-256 of the file as it is.
        got: String,
        /// SHA-256 that the configuration records.
        want: String,
    },
    /// The weights do not fit the network that the configuration describes.
    #[error("{}: {source}", path.display())]
    Weights {
        /// The weights file.
        path: PathBuf,
        /// What candle said.
        source: candle_core::Error,
    },
    /// There are weights that the network of the configuration does not have: it is another network.
    #[error("{}: the weights hold {count} tensor{} that config.json does not describe, such as {example}: its settings must be those of the network that was trained", path.display(), if *count == 1 { "" } else { "s" })]
    Leftover {
        /// The weights file, or the folder that holds it.
        path: PathBuf,
        /// How many there are.
        count: usize,
        /// The name of one.
        example: String,
    },
    /// The weights have other names or shapes than the network that the configuration describes.
    #[error("{}: the weights are not those of the network that is described: {problem}; there are {there}", path.display())]
    Names {
        /// The weights file.
        path: PathBuf,
        /// The first that does not fit.
        problem: String,
        /// Some names that are there.
        there: String,
    },
    /// Weights that are not numbers, or not finite.
    #[error("{}: weight {name} {problem}", path.display())]
    Values {
        /// The weights file.
        path: PathBuf,
        /// Name of the weight.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// `config.json` is not what was written beside its weights.
    #[error("{}: the configuration has checksum {got}, it was written with {want}: copy the checkpoint again; if it was changed on purpose, take its line config_sha256 out", path.display())]
    ConfigChecksum {
        /// The file.
        path: PathBuf,
        /// SHA-256 of what it says.
        got: String,
        /// SHA-256 that it records.
        want: String,
    },
    /// A checkpoint of another program cannot be used.
    #[error("{}: {message}", path.display())]
    Foreign {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        message: String,
        /// What would help.
        remedy: Option<Remedy>,
    },
    /// A checkpoint of another program holds a network that this version does not know.
    #[error("{}: {message}", path.display())]
    Unsupported {
        /// The file or folder.
        path: PathBuf,
        /// Which network.
        message: String,
    },
    /// A checkpoint that another program has no counterpart of cannot be written for it.
    #[error("{}: {what} has no counterpart in {program}", path.display())]
    NoCounterpart {
        /// The checkpoint.
        path: PathBuf,
        /// Its network, or what of it the program does not have.
        what: String,
        /// The other program.
        program: &'static str,
    },
    /// A checkpoint of the Hub could not be had.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// A temporary folder could not be made or renamed.
    #[error(transparent)]
    Folder(#[from] io::Error),
}

/// What of the [`LoadOptions`](crate::LoadOptions) would make a checkpoint of another program usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// A description of the network, `config`.
    Config,
    /// The name of one of several networks, `key`.
    Key,
    /// The one of this name, left out.
    Without(&'static str),
}

impl CheckpointError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, source }
    }

    /// The error of a file in the folder `from`, which was to become `to`.
    pub(crate) fn moved(self, from: &Path, to: &Path) -> Self {
        match self {
            Self::Io { path, source } => match path.strip_prefix(from) {
                Ok(name) => Self::io(&to.join(name))(source),
                Err(_) => Self::Io { path, source },
            },
            error => error,
        }
    }

    pub(crate) fn foreign(path: &Path) -> impl FnOnce(ForeignError) -> Self {
        let path = path.to_path_buf();
        move |error| {
            let (message, remedy) = (error.to_string(), error.remedy());
            match error {
                ForeignError::Unsupported(_) => Self::Unsupported { path, message },
                _ => Self::Foreign {
                    path,
                    message,
                    remedy,
                },
            }
        }
    }

    /// What of the [`LoadOptions`](crate::LoadOptions) would make the checkpoint of another program usable, if one would.
    pub fn remedy(&self) -> Option<Remedy> {
        match self {
            Self::Foreign { remedy, .. } => *remedy,
            _ => None,
        }
    }

    /// Whether the file is sound but holds a network that this version does not know.
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Self::Unsupported { .. })
    }

    /// Whether the Hub or the way to it failed, which may pass by itself.
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Hub(hub) if !hub.is_bad_input() && hub.io_error().is_none())
    }

    /// The underlying failure of the file system, if it was one.
    pub fn io_error(&self) -> Option<&io::Error> {
        match self {
            Self::Io { source, .. } | Self::Folder(source) => Some(source),
            Self::Hub(hub) => hub.io_error(),
            _ => None,
        }
    }
}
