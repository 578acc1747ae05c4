//! A repository at a revision, as messages name it.

use std::fmt;

use crate::reference::Repo;

/// A repository at a revision, as messages name it.
pub(crate) struct Place<'a> {
    pub(crate) repo: &'a Repo,
    pub(crate) revision: &'a str,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.revision {
            "main" => self.repo.fmt(f),
            revision => write!(f, "{}@{revision}", self.repo),
        }
    }
}
