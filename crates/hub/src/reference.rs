//! How a user names a repository of the Hub and what is in it.

use std::fmt;
use std::str::FromStr;

use crate::error::HubError;

/// How every reference starts.
const SCHEME: &str = "hf://";
/// The revision of a reference that names none.
const MAIN: &str = "main";

/// What kind of repository it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepoKind {
    /// A model: `owner/name`.
    Model,
    /// A data set: `datasets/owner/name` in addresses.
    Dataset,
}

/// A repository of the Hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repo {
    pub(crate) kind: RepoKind,
    pub(crate) id: String,
}

impl Repo {
    /// The repository `id`: `owner/name`, or `name` alone for data sets from before there were owners.
    ///
    /// # Errors
    ///
    /// Anything but letters, digits, `-`, `_` and `.` in a name.
    pub fn new(kind: RepoKind, id: &str) -> Result<Self, HubError> {
        let parts: Vec<&str> = id.split('/').collect();
        let count = match kind {
            RepoKind::Model => 2..=2,
            RepoKind::Dataset => 1..=2,
        };
        if count.contains(&parts.len()) && parts.into_iter().all(is_name) {
            let id = id.to_string();
            return Ok(Self { kind, id });
        }
        Err(HubError::Reference {
            text: id.to_string(),
            problem: "a repository is named owner/name, of letters, digits, -, _ and .",
        })
    }
}

impl fmt::Display for Repo {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.id)
    }
}

/// A file or folder of a repository at a revision: `hf://owner/name[@revision][/path]`.
///
/// A `/` in a revision is written `%2F` (`hf://owner/name@feature%2Fx`), except in `refs/pr/1` and
/// `refs/convert/parquet`, where it may stand as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The repository, of a model.
    pub repo: Repo,
    /// A branch, a tag or a commit.
    pub revision: String,
    /// A file or folder within, empty for the whole.
    pub path: String,
}

impl Reference {
    /// Whether a text is meant as a reference to the Hub.
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(SCHEME)
    }

    /// The same at a commit, which never changes.
    #[must_use]
    pub fn at(&self, commit: &str) -> Self {
        Self {
            revision: commit.to_string(),
            ..self.clone()
        }
    }

    /// Whether the revision is a commit.
    pub fn is_pinned(&self) -> bool {
        is_commit(&self.revision)
    }

    /// Whether it names a revision, rather than leaving it at `main`.
    pub fn names_revision(&self) -> bool {
        self.revision != MAIN
    }

    /// Whether both name the same thing, each at any revision.
    pub fn same_place(&self, other: &Self) -> bool {
        self.repo == other.repo && self.path == other.path
    }
}

impl FromStr for Reference {
    type Err = HubError;

    fn from_str(text: &str) -> Result<Self, HubError> {
        let refuse = |problem| HubError::Reference {
            text: text.to_string(),
            problem,
        };
        let form =
            "it must be hf://owner/name, hf://owner/name@revision or either with /file behind";
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| refuse(form))?;
        let mut parts = rest.splitn(3, '/');
        let (Some(owner), Some(name)) = (parts.next(), parts.next()) else {
            return Err(refuse(form));
        };
        if matches!(owner, "datasets" | "spaces") {
            return Err(refuse(
                "data sets and spaces are not checkpoints: name a model, as hf://owner/name",
            ));
        }
        let path = parts.next().unwrap_or("");
        let (name, revision, path) = match name.split_once('@') {
            Some((name, "refs")) => {
                let (revision, path) = split_ref(path);
                (name, revision, path)
            }
            Some((name, revision)) => {
                let revision = revision.replace("%2F", "/").replace("%2f", "/");
                (name, revision, path)
            }
            None => (name, MAIN.to_string(), path),
        };
        let path = path.trim_end_matches('/');
        if !is_path(&revision) || revision.contains(|c: char| c.is_whitespace()) {
            return Err(refuse("the revision must be a branch, a tag or a commit"));
        }
        if !path.is_empty() && !is_path(path) {
            return Err(refuse("the file must lie within the repository"));
        }
        Ok(Self {
            repo: Repo::new(RepoKind::Model, &format!("{owner}/{name}"))
                .map_err(|_| refuse(form))?,
            revision,
            path: path.to_string(),
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.repo)?;
        if self.revision != MAIN {
            write!(f, "@{}", self.revision.replace('/', "%2F"))?;
        }
        match self.path.as_str() {
            "" => Ok(()),
            path => write!(f, "/{path}"),
        }
    }
}

/// Divides what follows `refs/` into the Hub's own kinds of revision, `pr/1` and `convert/parquet`, and the path behind.
fn split_ref(text: &str) -> (String, &str) {
    let mut parts = text.splitn(3, '/');
    match (parts.next(), parts.next()) {
        (Some(kind @ ("pr" | "convert")), Some(name)) => {
            (format!("refs/{kind}/{name}"), parts.next().unwrap_or(""))
        }
        _ => ("refs".into(), text),
    }
}

/// Whether a text is the hash of a commit.
pub(crate) fn is_commit(text: &str) -> bool {
    text.len() == 40
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Whether a text is a name, safe as that of a folder.
fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !text.is_empty()
        && text.len() <= 96
        && !text.starts_with('.')
        && !text.contains("--")
        && !text.contains("..")
        && text.chars().all(allowed)
}

/// Whether a text is a path that stays within the folder that it starts from, on every system.
pub(crate) fn is_path(text: &str) -> bool {
    let allowed = |c: char| !c.is_control() && !r#"\:*?"<>|"#.contains(c);
    let part = |part: &str| !part.is_empty() && part != "." && part != "..";
    text.len() <= 1024 && text.chars().all(allowed) && text.split('/').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_read_as_they_are_written() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        for (text, revision, path) in [
            ("hf://google/ddpm-cifar10-32", "main", ""),
            ("hf://o/n@v1.0", "v1.0", ""),
            ("hf://o/n/unet/a.safetensors", "main", "unet/a.safetensors"),
            ("hf://o/n@refs%2Fpr%2F1/a.pkl", "refs/pr/1", "a.pkl"),
            (&format!("hf://o/n@{commit}/x"), commit, "x"),
        ] {
            let got: Reference = text.parse().unwrap();
            assert_eq!((got.revision.as_str(), got.path.as_str()), (revision, path));
            assert_eq!(got.to_string(), text);
            assert_eq!(got.is_pinned(), revision == commit, "{text}");
        }
        let slash: Reference = "hf://o/n/".parse().unwrap();
        assert_eq!(slash.to_string(), "hf://o/n");
        let pinned = slash.at(commit);
        assert_eq!(pinned.to_string(), format!("hf://o/n@{commit}"));
        assert!(pinned.same_place(&slash));
    }

    #[test]
    fn the_hubs_own_revisions_may_be_written_as_they_are() {
        for (text, revision, path) in [
            ("hf://o/n@refs/pr/1", "refs/pr/1", ""),
            ("hf://o/n@refs/pr/12/unet/a.bin", "refs/pr/12", "unet/a.bin"),
            ("hf://o/n@refs/convert/parquet/", "refs/convert/parquet", ""),
            ("hf://o/n@refs/other/x", "refs", "other/x"),
        ] {
            let got: Reference = text.parse().unwrap();
            let got = (got.revision.as_str(), got.path.as_str());
            assert_eq!(got, (revision, path), "{text}: got {got:?}");
        }
        let written = "hf://o/n@refs/pr/1/a".parse::<Reference>().unwrap();
        assert_eq!(written.to_string(), "hf://o/n@refs%2Fpr%2F1/a");
    }

    #[test]
    fn what_could_leave_the_cache_is_refused() {
        for text in [
            "hf://",
            "hf://name",
            "hf://datasets/a/b",
            "hf://../name",
            "hf://o/..",
            "hf://o/n--m",
            "hf://o/n@",
            "hf://o/n@..",
            "hf://o/n@..%2F..%2Fx",
            "hf://o/n@refs/pr/..",
            "hf://o/n@refs/pr/",
            "hf://o/n@%2Fetc",
            "hf://o/n/../../evil",
            "hf://o/n//etc/passwd",
            r"hf://o/n/a\..\b",
            "hf://o/n/a\nb",
            "hf://o n/m",
        ] {
            let error = text.parse::<Reference>().expect_err(text).to_string();
            assert!(error.starts_with("hf://"), "got {error}");
        }
    }
}
