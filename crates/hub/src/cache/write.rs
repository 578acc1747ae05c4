//! Adding to the cache.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::layout::Cache;
use crate::error::HubError;
use crate::reference::is_commit;

impl Cache {
    /// Where the bytes of a file lie, by its checksum.
    pub(crate) fn blob(&self, checksum: &str) -> PathBuf {
        self.own("blobs").join(checksum)
    }

    /// Records the commit that a revision is at, unless that stands there.
    pub(crate) fn record(&self, revision: &str, commit: &str) -> Result<(), HubError> {
        if is_commit(revision) || self.commit_of(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.own("refs").join(revision);
        let folder = folder_of(&path)?;
        let write = || -> io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(&folder)?;
            io::Write::write_all(&mut file, commit.as_bytes())?;
            file.persist(&path).map_err(|e| e.error)?;
            Ok(())
        };
        write().map_err(HubError::io(&path))
    }

    /// Makes a blob the file `name` of a commit.
    pub(crate) fn link(&self, commit: &str, name: &str, checksum: &str) -> Result<(), HubError> {
        let path = self.snapshot(commit).join(name);
        let folder = folder_of(&path)?;
        let blob = self.blob(checksum);
        let link = || -> io::Result<()> {
            // Made beside and renamed: the name leads to a whole file at every moment.
            let beside = tempfile::tempdir_in(&folder)?;
            let new = beside.path().join("link");
            make_link(&blob, name, checksum, &new)?;
            fs::rename(&new, &path)
        };
        link().map_err(HubError::io(&path))
    }

    /// The lock that programs of the Hub hold while they write a blob; `tell` is told if another holds it, or
    /// if the file system has no locks.
    pub(crate) fn lock(&self, checksum: &str, tell: impl Fn(&str)) -> Result<File, HubError> {
        let path = self.beside(checksum, "lock");
        folder_of(&path)?;
        let lock = || -> io::Result<File> {
            let options = File::options()
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path);
            let file = options?;
            match file.try_lock() {
                Ok(()) => {}
                Err(fs::TryLockError::WouldBlock) => {
                    tell("another process fetches it, waiting");
                    file.lock()?;
                }
                // Two that write the same file at once leave a wrong checksum, which is noticed.
                Err(fs::TryLockError::Error(_)) => {
                    tell(
                        "the file system of the cache has no locks, so nothing else may fetch it now",
                    );
                }
            }
            Ok(file)
        };
        lock().map_err(HubError::io(&path))
    }
}

/// The folder of a file, made if need be.
pub(crate) fn folder_of(path: &Path) -> Result<PathBuf, HubError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(HubError::io(folder))?;
    Ok(folder.to_path_buf())
}

/// A link from the file `name` of a snapshot to its blob, relative so that the cache can be moved.
#[cfg(unix)]
fn make_link(_blob: &Path, name: &str, checksum: &str, new: &Path) -> io::Result<()> {
    let up = "../".repeat(2 + name.matches('/').count());
    std::os::unix::fs::symlink(format!("{up}blobs/{checksum}"), new)
}

/// Links need a privilege elsewhere: a second name of the same file does not.
#[cfg(not(unix))]
fn make_link(blob: &Path, _name: &str, _checksum: &str, new: &Path) -> io::Result<()> {
    fs::hard_link(blob, new).or_else(|_| fs::copy(blob, new).map(|_| ()))
}
