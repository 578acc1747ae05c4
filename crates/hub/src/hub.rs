//! From a name to a folder with its files.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::cache::Cache;
use crate::reference::is_commit;
use crate::{HubError, HubEvent, HubObserver, Repo, Settings};

/// Chooses files of a listing; an error says what is missing among them.
pub type Select<'a> = &'a dyn Fn(&[String]) -> Result<Vec<String>, String>;

/// The Hub and its cache.
#[derive(Clone)]
pub struct Hub {
    settings: Settings,
    observer: Arc<dyn HubObserver>,
}

/// Files that are here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The commit that they are of.
    pub commit: String,
    /// The folder that they lie in, under their names in the repository.
    pub folder: PathBuf,
}

/// How a commit was found.
enum Commit {
    /// By its own name, or by asking the Hub.
    Sure(String),
    /// As the cache remembers it: the Hub was not, or could not be, asked.
    Remembered(String, Option<HubError>),
}

impl Hub {
    /// The Hub that `settings` say, with nobody watching.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            observer: Arc::new(|_: HubEvent| {}),
        }
    }

    /// The Hub of this process's environment ([`Settings::from_env`]), with nobody watching.
    pub fn from_env() -> Self {
        Self::new(Settings::from_env())
    }

    /// The same with `observer` watching its downloads.
    #[must_use]
    pub fn watched_by(self, observer: Arc<dyn HubObserver>) -> Self {
        Self { observer, ..self }
    }

    /// Brings files of a repository here, those that `select` chooses, and says where they lie.
    ///
    /// - `revision`: a branch, a tag or a commit. Of a commit whose files are here nothing is asked; of any
    ///   other revision the Hub is asked where it stands, and the cache's memory is used if it cannot be
    ///   reached.
    /// - `select`: is shown the files that are here, and if they do not do, all that the repository has.
    ///
    /// Nothing that `select` does not choose is fetched. A file is in the cache whole and with the right
    /// checksum, or not at all; what was fetched of a file when a connection broke off is kept beside and
    /// used by the next call.
    ///
    /// # Errors
    ///
    /// A repository, revision or file that is not there or may not be read, a Hub that fails or cannot be
    /// reached, files that arrive damaged, and any failure of the file system.
    pub fn fetch(&self, repo: &Repo, revision: &str, select: Select) -> Result<Fetched, HubError> {
        let cache = Cache::new(&self.settings.cache, repo);
        let place = Place { repo, revision };
        let (commit, unsure) = match self.commit(&cache, &place)? {
            Commit::Sure(commit) => (commit, None),
            Commit::Remembered(commit, failure) => (commit, Some(failure)),
        };
        let folder = cache.snapshot(&commit);
        let here = select(&cache.files(&commit)).is_ok();
        match unsure {
            Some(Some(failure)) if !here => return Err(failure),
            Some(Some(_)) => self.note(&format!(
                "{} cannot be reached: {place} as it was when it was fetched",
                self.settings.shown_endpoint()
            )),
            None if here => self.remember(&cache, &place, &commit)?,
            Some(None) if here => {}
            _ if self.settings.offline => return Err(self.offline(&place)),
            _ => self.download(&cache, &place, &commit, select)?,
        }
        Ok(Fetched { commit, folder })
    }

    /// Files that are in the cache already, whatever the Hub has by now; none if `select` finds too little.
    pub fn cached(&self, repo: &Repo, revision: &str, select: Select) -> Option<Fetched> {
        let cache = Cache::new(&self.settings.cache, repo);
        let commit = match is_commit(revision) {
            true => revision.to_string(),
            false => cache.commit_of(revision)?,
        };
        select(&cache.files(&commit)).ok()?;
        let folder = cache.snapshot(&commit);
        Some(Fetched { commit, folder })
    }

    fn note(&self, text: &str) {
        self.observer.observe(HubEvent::Note(text));
    }

    fn offline(&self, place: &Place) -> HubError {
        HubError::Offline {
            place: place.to_string(),
            cache: self.settings.cache.clone(),
        }
    }

    /// The commit that a revision is at.
    fn commit(&self, cache: &Cache, place: &Place) -> Result<Commit, HubError> {
        if is_commit(place.revision) {
            return Ok(Commit::Sure(place.revision.to_string()));
        }
        let remembered = cache.commit_of(place.revision);
        if self.settings.offline {
            let commit = remembered.ok_or_else(|| self.offline(place))?;
            return Ok(Commit::Remembered(commit, None));
        }
        match (self.look_up(place), remembered) {
            (Ok(commit), _) => Ok(Commit::Sure(commit)),
            (Err(failure), Some(commit)) if may_use_memory(&failure) => {
                Ok(Commit::Remembered(commit, Some(failure)))
            }
            (Err(failure), _) => Err(failure),
        }
    }
}

/// Whether a failure is that of a Hub that is away, rather than its answer.
fn may_use_memory(failure: &HubError) -> bool {
    matches!(
        failure,
        HubError::Unreachable { .. }
            | HubError::Silent { .. }
            | HubError::Cut { .. }
            | HubError::NoHttp { .. }
    )
}

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

#[cfg(feature = "http")]
impl Hub {
    /// Records where a revision that was looked up stands.
    fn remember(&self, cache: &Cache, place: &Place, commit: &str) -> Result<(), HubError> {
        cache.record(place.revision, commit)
    }

    fn look_up(&self, place: &Place) -> Result<String, HubError> {
        let remote = crate::remote::Remote::new(&self.settings, self.observer.clone())?;
        remote.commit(place)
    }

    /// Fetches what `select` chooses of all that the repository has, then records the revision.
    fn download(
        &self,
        cache: &Cache,
        place: &Place,
        commit: &str,
        select: Select,
    ) -> Result<(), HubError> {
        let remote = crate::remote::Remote::new(&self.settings, self.observer.clone())?;
        let names = remote.files(place, commit)?;
        let outside = |name: &&String| !crate::reference::is_path(name);
        if let Some(name) = names.iter().find(outside) {
            return Err(HubError::Name {
                place: place.to_string(),
                name: name.chars().take(80).collect(),
            });
        }
        let chosen = select(&names).map_err(|problem| HubError::Unusable {
            place: place.to_string(),
            problem,
        })?;
        for name in &chosen {
            let download = crate::download::Download {
                remote: &remote,
                cache,
                place,
                commit,
                name,
                observer: &*self.observer,
            };
            download.run()?;
        }
        cache.record(place.revision, commit)
    }
}

#[cfg(not(feature = "http"))]
impl Hub {
    /// Nothing is looked up, so there is nothing to record.
    fn remember(&self, _: &Cache, _: &Place, _: &str) -> Result<(), HubError> {
        Ok(())
    }

    fn look_up(&self, place: &Place) -> Result<String, HubError> {
        let place = place.to_string();
        Err(HubError::NoHttp { place })
    }

    fn download(
        &self,
        _cache: &Cache,
        place: &Place,
        _commit: &str,
        _select: Select,
    ) -> Result<(), HubError> {
        self.look_up(place).map(|_| ())
    }
}
