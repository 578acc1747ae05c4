//! The cache that programs of the Hub share.
//!
//! ```text
//! models--owner--name/
//!   refs/main                  the commit that the branch was at when it was looked up last
//!   blobs/<checksum>           a file's bytes
//!   snapshots/<commit>/<file>  a link to its blob
//! .locks/models--owner--name/<checksum>.lock
//! ```

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::reference::is_commit;
use crate::{HubError, Repo, RepoKind};

/// Folders within folders that a listing goes down.
const MAX_DEPTH: usize = 8;

/// The cache of one repository.
pub(crate) struct Cache {
    root: PathBuf,
    folder: String,
}

impl Cache {
    pub(crate) fn new(root: &Path, repo: &Repo) -> Self {
        let kind = match repo.kind {
            RepoKind::Model => "models",
            RepoKind::Dataset => "datasets",
        };
        Self {
            root: root.to_path_buf(),
            folder: format!("{kind}--{}", repo.id.replace('/', "--")),
        }
    }

    fn own(&self, part: &str) -> PathBuf {
        self.root.join(&self.folder).join(part)
    }

    /// The folder of a commit's files.
    pub(crate) fn snapshot(&self, commit: &str) -> PathBuf {
        self.own("snapshots").join(commit)
    }

    /// The commit that a revision was at when it was looked up last.
    pub(crate) fn commit_of(&self, revision: &str) -> Option<String> {
        let text = fs::read_to_string(self.own("refs").join(revision)).ok()?;
        let commit = text.trim();
        is_commit(commit).then(|| commit.to_string())
    }

    /// The files of a commit that are here, by their names in the repository.
    pub(crate) fn files(&self, commit: &str) -> Vec<String> {
        let mut names = Vec::new();
        list(&self.snapshot(commit), "", 0, &mut names);
        names.sort();
        names
    }
}

/// Adds the files in `folder`, which is `prefix` of the repository; a link without its blob is no file.
fn list(folder: &Path, prefix: &str, depth: usize, names: &mut Vec<String>) {
    // What cannot be read is not here.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let (path, name) = (entry.path(), format!("{prefix}{name}"));
        if path.is_file() {
            names.push(name);
        } else if path.is_dir() && depth < MAX_DEPTH {
            list(&path, &format!("{name}/"), depth + 1, names);
        }
    }
}

#[cfg(feature = "http")]
impl Cache {
    /// Where the bytes of a file lie, by its checksum.
    pub(crate) fn blob(&self, checksum: &str) -> PathBuf {
        self.own("blobs").join(checksum)
    }

    /// Records the commit that a revision is at.
    pub(crate) fn record(&self, revision: &str, commit: &str) -> Result<(), HubError> {
        if is_commit(revision) {
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

    /// The lock that programs of the Hub hold while they write a blob; `waits` is called if another holds it.
    pub(crate) fn lock(&self, checksum: &str, waits: impl FnOnce()) -> Result<File, HubError> {
        let folder = self.root.join(".locks").join(&self.folder);
        let path = folder.join(format!("{checksum}.lock"));
        let lock = || -> io::Result<File> {
            fs::create_dir_all(&folder)?;
            let options = File::options()
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path);
            let file = options?;
            match file.try_lock() {
                Ok(()) => Ok(file),
                Err(fs::TryLockError::WouldBlock) => {
                    waits();
                    file.lock()?;
                    Ok(file)
                }
                Err(fs::TryLockError::Error(e)) => Err(e),
            }
        };
        lock().map_err(HubError::io(&path))
    }
}

/// The folder of a file, made if need be.
#[cfg(feature = "http")]
pub(crate) fn folder_of(path: &Path) -> Result<PathBuf, HubError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(HubError::io(folder))?;
    Ok(folder.to_path_buf())
}

/// A link from the file `name` of a snapshot to its blob, relative so that the cache can be moved.
#[cfg(all(feature = "http", unix))]
fn make_link(_blob: &Path, name: &str, checksum: &str, new: &Path) -> io::Result<()> {
    let up = "../".repeat(2 + name.matches('/').count());
    std::os::unix::fs::symlink(format!("{up}blobs/{checksum}"), new)
}

/// Links need a privilege elsewhere: a second name of the same file does not.
#[cfg(all(feature = "http", not(unix)))]
fn make_link(blob: &Path, _name: &str, _checksum: &str, new: &Path) -> io::Result<()> {
    fs::hard_link(blob, new).or_else(|_| fs::copy(blob, new).map(|_| ()))
}
