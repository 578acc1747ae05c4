//! A folder that one process holds.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use crate::atomic::{remove_partial, write_file};
use crate::error::StoreError;

/// A locked folder; the lock ends with the value, or with the process.
pub struct LockedFolder {
    path: PathBuf,
    _lock: File,
}

impl LockedFolder {
    /// Opens `path`, makes it if need be, locks it and removes what an interrupted write left in it.
    ///
    /// # Errors
    ///
    /// A folder that another process holds, or that cannot be made.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let lock = lock(path)?;
        remove_partial(path).map_err(StoreError::io(path))?;
        Ok(Self {
            path: path.to_path_buf(),
            _lock: lock,
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file of this folder whole, with the folder that holds it.
    ///
    /// # Errors
    ///
    /// Any failure of the file system.
    pub fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(StoreError::io(parent))?;
        }
        write_file(path, bytes).map_err(StoreError::io(path))
    }
}

/// Makes the folder `path` if need be and takes its lock, `.lock`.
///
/// # Errors
///
/// A folder that another process holds, or that cannot be made.
pub fn lock(path: &Path) -> Result<File, StoreError> {
    if path.exists() && !path.is_dir() {
        return Err(StoreError::NotAFolder {
            path: path.to_path_buf(),
        });
    }
    fs::create_dir_all(path).map_err(StoreError::io(path))?;
    let file = path.join(".lock");
    // Not truncated: a link in its place must not cost anyone a file.
    let options = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&file);
    let lock = options.map_err(StoreError::io(&file))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse {
            path: path.to_path_buf(),
        }),
        Err(TryLockError::Error(source)) => Err(StoreError::Io { path: file, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_in_use_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("run");
        let first = LockedFolder::open(&path).unwrap();
        let error = LockedFolder::open(&path).err().unwrap().to_string();
        assert!(error.contains("in use by another process"), "got {error}");
        drop(first);
        LockedFolder::open(&path).unwrap();
    }
}
