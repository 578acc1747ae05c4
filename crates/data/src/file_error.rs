//! Why files cannot be used as data.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::file_kind::FileKind;
use crate::found::{Skipped, list};
use crate::splits::MIN_IMAGES;

/// What is wrong with a file, an archive or a folder of data.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// A file or folder that cannot be read.
    #[error("{}: {}", path.display(), said(source))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// A file that cannot be used.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it and what is needed.
        reason: String,
    },
    /// One entry of an archive or folder that cannot be used.
    #[error("{}: {name}: {reason}", path.display())]
    Entry {
        /// The archive or folder.
        path: PathBuf,
        /// The entry.
        name: String,
        /// What is wrong with it and what is accepted.
        reason: String,
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
    #[error(
        "{}: holds {num} {what}, at least {MIN_IMAGES} are needed: every fifth is held out, and scores need two of them{}",
        path.display(),
        left_out(skipped)
    )]
    TooFew {
        /// The archive, folder or file.
        path: PathBuf,
        /// What is counted.
        what: &'static str,
        /// The number of images.
        num: usize,
        /// What was passed over.
        skipped: Vec<Skipped>,
    },
    /// A set that needs more memory than is accepted.
    #[error(
        "{}: {num} images of shape {shape:?} need {needed_mib} MiB as f32, up to {accepted_mib} MiB are accepted: \
         use up to {fitting} images of this shape, or smaller ones",
        path.display()
    )]
    TooLarge {
        /// The archive, folder or file.
        path: PathBuf,
        /// The number of images.
        num: usize,
        /// The shape of one.
        shape: [usize; 3],
        /// MiB needed.
        needed_mib: u64,
        /// MiB accepted.
        accepted_mib: u64,
        /// The number of images of this shape that would be accepted.
        fitting: u64,
    },
}

/// The largest set, as `f32` in host memory.
const MAX_BYTES: u64 = 2 << 30;

impl FileError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, source }
    }

    pub(crate) fn file(path: &Path, reason: impl Into<String>) -> Self {
        Self::File {
            path: path.to_path_buf(),
            reason: reason.into(),
        }
    }

    pub(crate) fn entry(path: &Path, name: &str, reason: impl Into<String>) -> Self {
        Self::Entry {
            path: path.to_path_buf(),
            name: name.to_string(),
            reason: reason.into(),
        }
    }

    /// Refuses a set that would not fit into memory, before anything is decoded.
    pub(crate) fn check_size(path: &Path, num: usize, shape: [usize; 3]) -> Result<(), Self> {
        let sizes = shape.iter().map(|&size| size as u128);
        let image = 4 * sizes.product::<u128>();
        let needed = image * num as u128;
        if needed <= u128::from(MAX_BYTES) {
            return Ok(());
        }
        Err(Self::TooLarge {
            path: path.to_path_buf(),
            num,
            shape,
            needed_mib: u64::try_from(needed.div_ceil(1 << 20)).unwrap_or(u64::MAX),
            accepted_mib: MAX_BYTES >> 20,
            fitting: (u128::from(MAX_BYTES) / image) as u64,
        })
    }
}

/// What the file system said, in words of their own for what is met most.
fn said(source: &io::Error) -> String {
    match source.kind() {
        ErrorKind::NotFound => "there is no such file or folder".to_string(),
        ErrorKind::PermissionDenied => "must not be read by this user".to_string(),
        _ => format!("cannot be read: {source}"),
    }
}

fn left_out(skipped: &[Skipped]) -> String {
    match skipped {
        [] => String::new(),
        _ => format!("; left out: {}", list(skipped)),
    }
}

/// What the file at `path` is, from its first bytes.
pub(crate) fn kind_of_file(path: &Path) -> Result<Option<FileKind>, FileError> {
    let file = File::open(path).map_err(FileError::io(path))?;
    let len = file.metadata().map_err(FileError::io(path))?.len();
    let mut head = Vec::new();
    let read = file.take(FileKind::HEAD as u64).read_to_end(&mut head);
    read.map_err(FileError::io(path))?;
    Ok(FileKind::of(&head, len))
}
