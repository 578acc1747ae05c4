//! A folder that one process works in.

use std::path::Path;

use crate::atomic::write_file;
use crate::error::StoreError;
use crate::lock::{Lock, lock, lock_within};
use crate::partial::remove_partial;
use crate::within::make_within;

/// A locked folder; the lock ends with the value, or with the process.
pub struct LockedFolder(Lock);

impl LockedFolder {
    /// Opens `path`, makes it if need be, locks it and removes what an interrupted write left in it and in those of
    /// its folders that are named in `inner`.
    ///
    /// # Errors
    ///
    /// A folder that another process holds, or that cannot be made.
    pub fn open(path: &Path, inner: &[&str]) -> Result<Self, StoreError> {
        Self::cleaned(lock(path)?, path, inner)
    }

    /// As [`Self::open`], of a folder within `root`, which is not made, and at which another process may look just now.
    ///
    /// # Errors
    ///
    /// As [`Self::open`]; [`StoreError::Gone`] where `root` is not there.
    pub fn open_within(root: &Path, path: &Path, inner: &[&str]) -> Result<Self, StoreError> {
        Self::cleaned(lock_within(root, path)?, path, inner)
    }

    fn cleaned(lock: Lock, path: &Path, inner: &[&str]) -> Result<Self, StoreError> {
        let inner = inner.iter().map(|name| path.join(name));
        for folder in std::iter::once(path.to_path_buf()).chain(inner) {
            if folder.is_dir() {
                remove_partial(&folder).map_err(StoreError::io(&folder))?;
            }
        }
        Ok(Self(lock))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// As [`Lock::check`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Gone`].
    pub fn check(&self) -> Result<(), StoreError> {
        self.0.check()
    }

    /// Makes the folder `path` in this one.
    ///
    /// # Errors
    ///
    /// Any failure of the file system; [`StoreError::Gone`] if this folder is no longer there.
    pub fn make(&self, path: &Path) -> Result<(), StoreError> {
        self.check()?;
        make_within(self.path(), path)
    }

    /// Writes a file of this folder whole, with the folder that holds it.
    ///
    /// # Errors
    ///
    /// Any failure of the file system; [`StoreError::Gone`] if this folder is no longer there.
    pub fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        self.make(path.parent().unwrap_or(path))?;
        write_file(path, bytes).map_err(StoreError::io(path))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_folder_that_holds_something_else_is_refused_untouched() {
        let parent = tempfile::tempdir().unwrap();
        for name in ["checkpoint", ".partial-notes", "log.jsonl", "report.html"] {
            let path = parent.path().join(name.trim_start_matches('.'));
            fs::create_dir(&path).unwrap();
            fs::write(path.join(name), "precious").unwrap();
            let error = LockedFolder::open(&path, &[]).err().unwrap().to_string();
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
        drop(LockedFolder::open(parent.path(), &[]).unwrap());
        fs::write(parent.path().join("log.jsonl"), "").unwrap();
        LockedFolder::open(parent.path(), &[]).unwrap();
    }

    #[test]
    fn a_lock_of_another_program_makes_a_folder_none_of_ours() {
        let parent = tempfile::tempdir().unwrap();
        for lock in ["", "4711"] {
            let path = parent.path().join(format!("of{lock}"));
            fs::create_dir(&path).unwrap();
            fs::write(path.join(".lock"), lock).unwrap();
            fs::write(path.join("thesis.tex"), "precious").unwrap();
            let error = LockedFolder::open(&path, &[]).err().unwrap().to_string();
            assert!(error.contains("nothing of this program"), "got {error}");
        }
        // As the first versions made it.
        let path = parent.path().join("early");
        fs::create_dir(&path).unwrap();
        fs::write(path.join(".lock"), "").unwrap();
        fs::write(path.join("config.yaml"), "d: 1").unwrap();
        LockedFolder::open(&path, &[]).unwrap();
    }

    #[test]
    fn a_folder_in_use_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("run");
        let first = LockedFolder::open(&path, &[]).unwrap();
        let error = LockedFolder::open(&path, &[]).err().unwrap().to_string();
        assert!(error.contains("in use by another process"), "got {error}");
        drop(first);
        LockedFolder::open(&path, &[]).unwrap();
    }

    #[test]
    fn what_an_interruption_left_further_down_is_removed() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path();
        drop(LockedFolder::open(path, &[]).unwrap());
        let left = path.join("state/.partial-state.safetensors-abcdef");
        let others = path.join("notes/.partial-thesis");
        for file in [&left, &others] {
            fs::create_dir(file.parent().unwrap()).unwrap();
            fs::write(file, "half").unwrap();
        }
        drop(LockedFolder::open(path, &["state", "samples"]).unwrap());
        assert!(!left.exists() && others.exists());
    }

    #[test]
    fn a_folder_that_was_removed_is_not_made_again() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("run");
        let folder = LockedFolder::open(&path, &[]).unwrap();
        folder.write(&path.join("samples/a"), b"").unwrap();
        fs::remove_dir_all(&path).unwrap();
        let error = folder.write(&path.join("samples/a"), b"").unwrap_err();
        assert!(matches!(error, StoreError::Gone { .. }), "got {error}");
        assert!(!path.exists());
        // Nor is one taken for it that came in its place.
        drop(LockedFolder::open(&path, &[]).unwrap());
        let error = folder.check().unwrap_err();
        assert!(matches!(error, StoreError::Gone { .. }), "got {error}");
    }
}
