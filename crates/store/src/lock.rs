//! The lock of a folder.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::claim::Claim;
use crate::error::StoreError;

/// A folder held against other processes; it is free again when the value is dropped, or the process ends.
pub struct Lock {
    path: PathBuf,
    file: File,
    /// In place of a lock, where the file system has none.
    _claim: Option<Claim>,
}

impl Lock {
    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes sure that the folder still is where it was locked: what is written into one that was removed would
    /// bring an empty one back, without what it held.
    ///
    /// # Errors
    ///
    /// [`StoreError::Gone`].
    pub fn check(&self) -> Result<(), StoreError> {
        if self.path.join(LOCK).exists() && !is_removed(&self.file) {
            return Ok(());
        }
        Err(StoreError::Gone {
            path: self.path.clone(),
        })
    }
}

/// Whether an open file has no name any more.
#[cfg(unix)]
fn is_removed(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
}

/// An open file cannot be removed.
#[cfg(not(unix))]
fn is_removed(_: &File) -> bool {
    false
}

/// The file that is locked, by which a folder is known as one of this program.
const LOCK: &str = ".lock";

/// What file managers leave in any folder.
const LITTER: [&str; 5] = [
    ".DS_Store",
    ".directory",
    "Thumbs.db",
    "desktop.ini",
    "lost+found",
];

/// The first name in a folder that is not empty.
fn someone_elses(path: &Path) -> io::Result<Option<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !LITTER.contains(&&*name) {
            names.push(name);
        }
    }
    Ok(names.into_iter().min())
}

/// Makes the folder `path` if need be and takes its lock, `.lock`; where the file system has no locks, it is
/// claimed by a file.
///
/// # Errors
///
/// A folder that another process holds, that holds what this program has not written, or that cannot be made.
pub fn lock(path: &Path) -> Result<Lock, StoreError> {
    lock_by(path, File::try_lock)
}

fn lock_by(
    path: &Path,
    try_lock: impl Fn(&File) -> Result<(), TryLockError>,
) -> Result<Lock, StoreError> {
    if path.exists() && !path.is_dir() {
        return Err(StoreError::NotAFolder {
            path: path.to_path_buf(),
        });
    }
    fs::create_dir_all(path).map_err(StoreError::io(path))?;
    let file = path.join(LOCK);
    if !file.exists()
        && let Some(found) = someone_elses(path).map_err(StoreError::io(path))?
        // Another process may have made the lock just now.
        && !file.exists()
    {
        return Err(StoreError::NotOurs {
            path: path.to_path_buf(),
            found,
        });
    }
    // Not truncated: a link in its place must not cost anyone a file.
    let options = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&file);
    let lock = options.map_err(StoreError::io(&file))?;
    let claim = match try_lock(&lock) {
        Ok(()) => None,
        Err(TryLockError::WouldBlock) => {
            return Err(StoreError::InUse {
                path: path.to_path_buf(),
            });
        }
        Err(TryLockError::Error(error)) if is_without_locks(&error) => Some(Claim::take(path)?),
        Err(TryLockError::Error(source)) => return Err(StoreError::Io { path: file, source }),
    };
    Ok(Lock {
        path: path.to_path_buf(),
        file: lock,
        _claim: claim,
    })
}

/// Whether a lock could not be taken because the file system has none: "function not implemented", "operation not
/// supported", or "no locks available", as network file systems say without their lock daemon.
fn is_without_locks(error: &io::Error) -> bool {
    const NO_LOCKS: i32 = if cfg!(target_os = "macos") { 77 } else { 37 };
    error.kind() == io::ErrorKind::Unsupported
        || (cfg!(unix) && error.raw_os_error() == Some(NO_LOCKS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_there_are_no_locks_a_folder_is_claimed() {
        for code in [37, 38, 95] {
            let without = |_: &File| -> Result<(), TryLockError> {
                Err(TryLockError::Error(io::Error::from_raw_os_error(code)))
            };
            let folder = tempfile::tempdir().unwrap();
            let first = lock_by(folder.path(), without).unwrap();
            let error = lock_by(folder.path(), without).err().unwrap().to_string();
            assert!(error.contains("in use by process"), "{code}: got {error}");
            drop(first);
            lock_by(folder.path(), without).unwrap();
        }
    }

    #[test]
    fn another_failure_of_a_lock_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        // EIO.
        let broken = |_: &File| Err(TryLockError::Error(io::Error::from_raw_os_error(5)));
        let error = lock_by(folder.path(), broken).err().unwrap().to_string();
        assert!(error.contains(".lock"), "got {error}");
    }
}
