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
fn someone_elses(path: &Path) -> std::io::Result<Option<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !LITTER.contains(&&*name) {
            names.push(name);
        }
    }
    Ok(names.into_iter().min())
}

/// Makes the folder `path` if need be and takes its lock, `.lock`.
///
/// # Errors
///
/// A folder that another process holds, that holds what this program has not written, or that cannot be made.
pub fn lock(path: &Path) -> Result<File, StoreError> {
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
    fn a_folder_that_holds_something_else_is_refused_untouched() {
        let parent = tempfile::tempdir().unwrap();
        for name in ["checkpoint", ".partial-notes", "log.jsonl", "report.html"] {
            let path = parent.path().join(name.trim_start_matches('.'));
            fs::create_dir(&path).unwrap();
            fs::write(path.join(name), "precious").unwrap();
            let error = LockedFolder::open(&path).err().unwrap().to_string();
            assert!(
                error.contains(name) && error.contains("and nothing of this program"),
                "got {error}"
            );
            let left: Vec<_> = fs::read_dir(&path).unwrap().collect();
            assert_eq!(left.len(), 1, "{name}: got {left:?}");
            assert_eq!(fs::read(path.join(name)).unwrap(), b"precious");
        }
    }

    #[test]
    fn an_empty_folder_one_with_litter_and_one_of_ours_are_taken() {
        let parent = tempfile::tempdir().unwrap();
        fs::write(parent.path().join(".DS_Store"), "").unwrap();
        drop(LockedFolder::open(parent.path()).unwrap());
        fs::write(parent.path().join("log.jsonl"), "").unwrap();
        LockedFolder::open(parent.path()).unwrap();
    }

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
