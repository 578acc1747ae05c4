//! Folders within one that must not come back.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::StoreError;

/// Makes the folder `path` and those between it and `root`, within which it has to lie, but never `root` itself: one that was removed or
/// moved meanwhile would come back empty, at whatever moment that happens.
///
/// # Errors
///
/// [`StoreError::Gone`] where `root` is not there, [`StoreError::NotAFolder`] where a file is in the way, and any other failure of
/// the file system.
pub fn make_within(root: &Path, path: &Path) -> Result<(), StoreError> {
    let inner = path.strip_prefix(root).map_err(|_| {
        let message = format!("lies not within {}", root.display());
        StoreError::io(path)(io::Error::new(io::ErrorKind::InvalidInput, message))
    })?;
    let mut folder = PathBuf::from(root);
    for part in inner {
        folder.push(part);
        let Err(error) = fs::create_dir(&folder) else {
            continue;
        };
        if folder.is_dir() {
            continue;
        }
        // A working directory has an empty name.
        let is_there = root == Path::new("") || root.is_dir();
        return Err(match error.kind() {
            _ if !is_there => StoreError::Gone {
                path: root.to_path_buf(),
            },
            io::ErrorKind::AlreadyExists => StoreError::NotAFolder { path: folder },
            _ => StoreError::io(&folder)(error),
        });
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
        let error = make_within(&root, parent.path()).unwrap_err();
        assert!(matches!(error, StoreError::Io { .. }), "got {error}");
    }

    /// Whatever is made in it at that moment.
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
