//! Where what lies in the cache.
//!
//! ```text
//! models--owner--name/
//!   refs/main                  the commit that the branch was at when it was looked up last
//!   blobs/<checksum>           a file's bytes
//!   snapshots/<commit>/<file>  a link to its blob
//! .locks/models--owner--name/<checksum>.lock
//! .locks/models--owner--name/<checksum>.verified   size and time of the blob when its checksum was right last
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use crate::reference::{Repo, RepoKind, is_commit};

/// Folders within folders that a listing goes down.
const MAX_DEPTH: usize = 8;

/// Files that are here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The commit that they are of.
    pub commit: String,
    /// The folder that they lie in, under their names in the repository.
    pub folder: PathBuf,
}

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

    /// A folder of the repository's own: `refs`, `blobs` or `snapshots`.
    pub(super) fn own(&self, part: &str) -> PathBuf {
        self.root.join(&self.folder).join(part)
    }

    /// What belongs to a blob beside the repository, where nothing is taken for a file of it.
    pub(super) fn beside(&self, checksum: &str, extension: &str) -> PathBuf {
        let folder = self.root.join(".locks").join(&self.folder);
        folder.join(format!("{checksum}.{extension}"))
    }

    /// The folder of a commit's files.
    pub(crate) fn snapshot(&self, commit: &str) -> PathBuf {
        self.own("snapshots").join(commit)
    }

    /// A commit's files, by their folder.
    pub(crate) fn fetched(&self, commit: String) -> Fetched {
        let folder = self.snapshot(&commit);
        Fetched { commit, folder }
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
