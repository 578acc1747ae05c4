//! Folders within one that must not come back.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::StoreError;

/// Makes the folder `path` and those between it and `root`, in which it lies, but never `root` itself: one that was removed or
/// moved meanwhile would come back empty, at whatever moment that happens.
///
/// # Errors
///
/// [`StoreError::Gone`] where `root` is not there, [`StoreError::NotAFolder`] where a file is in the way, and any other failure of
/// the file system.
pub fn make_within(root: &Path, path: &Path) -> Result<(), StoreError> {
    let inner = path.strip_prefix(root).unwrap_or(path);
    let mut folder = PathBuf::from(root);
    for part in inner {
        folder.push(part);
        match fs::create_dir(&folder) {
            Ok(()) => {}
            Err(_) if folder.is_dir() => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StoreError::Gone {
                    path: root.to_path_buf(),
                });
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(StoreError::NotAFolder { path: folder });
            }
            Err(error) => return Err(StoreError::io(&folder)(error)),
        }
    }
    Ok(())
}

/// Makes the folder `path` in one that is there.
///
/// # Errors
///
/// As [`make_within`].
pub fn make_one(path: &Path) -> Result<(), StoreError> {
    make_within(path.parent().unwrap_or(path), path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_made_up_to_the_root_and_not_beyond_it() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("sweep");
        let inner = root.join("run/state");
        let gone = make_within(&root, &inner).unwrap_err();
        assert!(
            matches!(&gone, StoreError::Gone { path } if *path == root),
            "got {gone}"
        );
        assert!(!root.exists());
        fs::create_dir(&root).unwrap();
        make_within(&root, &inner).unwrap();
        make_within(&root, &inner).unwrap();
        assert!(inner.is_dir());
        let file = root.join("file");
        fs::write(&file, "").unwrap();
        let error = make_within(&root, &file).unwrap_err();
        assert!(
            matches!(&error, StoreError::NotAFolder { path } if *path == file),
            "got {error}"
        );
    }

    /// Removed and made again by others at any moment: nothing that this one makes brings it back.
    #[test]
    fn a_root_that_is_moved_away_at_any_moment_does_not_come_back() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("sweep");
        for round in 0..200 {
            fs::create_dir(&root).unwrap();
            let away = parent.path().join(format!("away{round}"));
            std::thread::scope(|scope| {
                let maker = scope.spawn(|| {
                    let mut made = 0;
                    while make_within(&root, &root.join(format!("{made}/state"))).is_ok() {
                        made += 1;
                    }
                });
                std::thread::sleep(std::time::Duration::from_micros(50 * (round % 10)));
                fs::rename(&root, &away).unwrap();
                maker.join().unwrap();
            });
            assert!(!root.exists(), "it came back in round {round}");
        }
    }
}
