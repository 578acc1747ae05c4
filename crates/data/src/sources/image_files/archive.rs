//! What an archive and a folder have in common: files by name. Nothing is ever extracted.

use std::io::Read;
use std::path::Path;

use crate::file_error::FileError;
use crate::found::Skipped;

/// Files in a set, those that are not images included.
pub(super) const MAX_FILES: usize = 1 << 20;
/// Bytes of one image file.
pub(super) const MAX_IMAGE_BYTES: u64 = 64 << 20;

/// A file of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its name within the set, with `/` between its parts.
    pub name: String,
    /// Where its archive finds it.
    pub index: usize,
    /// Its bytes once unpacked, as the archive or the file system says.
    pub size: u64,
}

/// All files of a set.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// The files, in no order.
    pub files: Vec<Entry>,
    /// What could not be listed.
    pub skipped: Vec<Skipped>,
}

/// Files by name.
pub(super) trait Archive: Send {
    /// All files, those that are not images included.
    fn list(&mut self) -> Result<Listing, FileError>;
    /// The bytes of a file that [`Self::list`] gave, up to `limit`.
    fn read_up_to(&mut self, entry: &Entry, limit: u64) -> Result<Vec<u8>, FileError>;

    /// The bytes of an image.
    fn read(&mut self, image: &Entry) -> Result<Vec<u8>, FileError> {
        self.read_up_to(image, MAX_IMAGE_BYTES)
    }
}

/// Reads to the end, or up to `limit` bytes and no further.
pub(super) fn read_bounded(
    path: &Path,
    name: &str,
    source: impl Read,
    limit: u64,
    unreadable: impl FnOnce(std::io::Error) -> String,
) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    let read = source.take(limit + 1).read_to_end(&mut bytes);
    read.map_err(|e| FileError::entry(path, name, unreadable(e)))?;
    if bytes.len() as u64 > limit {
        let reason = format!("has more than the {} MiB that are accepted", limit >> 20);
        return Err(FileError::entry(path, name, reason));
    }
    Ok(bytes)
}

pub(super) fn too_many(path: &Path) -> FileError {
    FileError::TooMany {
        path: path.to_path_buf(),
        accepted: MAX_FILES,
    }
}
