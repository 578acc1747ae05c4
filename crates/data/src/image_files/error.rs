//! Why a set of image files cannot be used.

use std::io;
use std::path::{Path, PathBuf};

/// What is wrong with an archive or folder of images.
#[derive(Debug, thiserror::Error)]
pub enum ImageFilesError {
    /// A file or folder that cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// A folder where an archive was named, or the other way round.
    #[error("{}: is {is}, {needed} is needed", path.display())]
    Kind {
        /// What was named.
        path: PathBuf,
        /// What it is.
        is: &'static str,
        /// What is needed, and what to write for what is there.
        needed: &'static str,
    },
    /// A file that is no ZIP archive, or a damaged one.
    #[error("{}: cannot be read as a zip archive: {message}", path.display())]
    Zip {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        message: String,
    },
    /// More files than a data set may have.
    #[error("{}: holds more than {accepted} files", path.display())]
    TooMany {
        /// The archive or folder.
        path: PathBuf,
        /// The number accepted.
        accepted: usize,
    },
    /// Too few images to hold any out.
    #[error("{}: holds {num} PNG images, at least 5 are needed", path.display())]
    TooFew {
        /// The archive or folder.
        path: PathBuf,
        /// The number of images.
        num: usize,
    },
    /// A set that needs more memory than is accepted.
    #[error(
        "{}: {num} images of shape {shape:?} need {needed_mib} MiB as f32, up to {accepted_mib} MiB are accepted",
        path.display()
    )]
    TooLarge {
        /// The archive or folder.
        path: PathBuf,
        /// The number of images.
        num: usize,
        /// The shape of one.
        shape: [usize; 3],
        /// MiB needed.
        needed_mib: u64,
        /// MiB accepted.
        accepted_mib: u64,
    },
    /// One entry that cannot be used.
    #[error("{}: {name}: {reason}", path.display())]
    Entry {
        /// The archive or folder.
        path: PathBuf,
        /// The entry.
        name: String,
        /// What is wrong with it and what is accepted.
        reason: String,
    },
}

impl ImageFilesError {
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, source }
    }

    pub(super) fn entry(path: &Path, name: &str, reason: impl Into<String>) -> Self {
        Self::Entry {
            path: path.to_path_buf(),
            name: name.to_string(),
            reason: reason.into(),
        }
    }
}
