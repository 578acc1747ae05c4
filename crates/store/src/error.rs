//! Errors of files and folders.

use std::io;
use std::path::{Path, PathBuf};

/// A file or folder that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// Another process holds the folder.
    #[error("{}: in use by another process: wait for it or choose another folder", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The folder holds what this program has not written.
    #[error("{}: holds {found} and nothing of this program, which would write among it: choose another folder", path.display())]
    NotOurs {
        /// The folder.
        path: PathBuf,
        /// A name in it.
        found: String,
    },
    /// A file that was not there before the work has come meanwhile.
    #[error("{}: another process has written it meanwhile: choose another folder", path.display())]
    Taken {
        /// The file.
        path: PathBuf,
    },
    /// A file says that another process holds the folder.
    #[error("{}: in use by {holder}, if that still runs (remove this file if not): wait for it or choose another folder", path.display())]
    Claimed {
        /// The file.
        path: PathBuf,
        /// The process.
        holder: String,
    },
    /// The folder was there and is no more.
    #[error("{}: was removed or moved while it was worked in: nothing more is written", path.display())]
    Gone {
        /// The folder.
        path: PathBuf,
    },
    /// A file stands where a folder is needed.
    #[error("{}: is a file, a folder is needed: choose another folder", path.display())]
    NotAFolder {
        /// The file.
        path: PathBuf,
    },
}

impl StoreError {
    /// What makes an error about `path` of a failure of the file system.
    pub fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, source }
    }

    /// Whether the message ends by asking for another folder, so that a program can add how one is named.
    pub fn wants_another_folder(&self) -> bool {
        matches!(
            self,
            Self::InUse { .. }
                | Self::Taken { .. }
                | Self::Claimed { .. }
                | Self::NotOurs { .. }
                | Self::NotAFolder { .. }
        )
    }

    /// Whether another place would do: a full disk, a missing file, a folder in use or one that may not be
    /// written.
    pub fn is_about_place(&self) -> bool {
        match self {
            Self::Io { source, .. } => is_about_place(source),
            Self::InUse { .. }
            | Self::Taken { .. }
            | Self::Claimed { .. }
            | Self::Gone { .. }
            | Self::NotOurs { .. }
            | Self::NotAFolder { .. } => true,
        }
    }
}

/// Whether a failure of the file system is about the place that was chosen: a full disk, a missing file or a
/// folder that may not be written.
pub fn is_about_place(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge
            | io::ErrorKind::NotFound
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::AlreadyExists
            | io::ErrorKind::InvalidFilename
    )
}
