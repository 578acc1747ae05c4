//! From a name to a folder with its files.

use std::sync::Arc;

use crate::cache::{Cache, Damage, Fetched};
#[cfg(feature = "http")]
use crate::download::Download;
use crate::error::HubError;
use crate::observer::{HubEvent, HubObserver};
use crate::place::Place;
#[cfg(feature = "http")]
use crate::reference::is_path;
use crate::reference::{Repo, is_commit};
#[cfg(feature = "http")]
use crate::remote::Remote;
use crate::settings::Settings;

/// Chooses files of a listing; an error says what is missing among them.
pub type Select<'a> = &'a dyn Fn(&[String]) -> Result<Vec<String>, String>;

/// The Hub and its cache.
#[derive(Clone)]
pub struct Hub {
    settings: Settings,
    observer: Arc<dyn HubObserver>,
}

/// What the cache holds of the files that are wanted.
enum Held {
    /// All of them, and right.
    Whole,
    /// Not all.
    NotAll,
    /// All, and this failure says which is damaged.
    Damaged(HubError),
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
    ///   reached, fails or refuses more requests, or if the cache cannot be written.
    /// - `select`: is shown the files that are here, and if they do not do, all that the repository has.
    ///
    /// Nothing that `select` does not choose is fetched. A file is in the cache whole and with the right
    /// checksum, or not at all; what was fetched of a file when a connection broke off is kept beside and
    /// used by the next call. Files that are here already are compared with the checksum that the cache names
    /// them by, once for each size and time, and fetched anew if they are damaged.
    ///
    /// # Errors
    ///
    /// A repository, revision or file that is not there or may not be read, a Hub that fails or cannot be
    /// reached, files that arrive damaged, and any failure of the file system.
    pub fn fetch(&self, repo: &Repo, revision: &str, select: Select) -> Result<Fetched, HubError> {
        let cache = Cache::new(&self.settings.cache, repo);
        let place = Place { repo, revision };
        if is_commit(revision) || self.settings.offline {
            return self.settled(&cache, &place, select);
        }
        let remembered = cache.commit_of(revision);
        let commit = self.look_up(&place, remembered.is_some());
        let brought = match &commit {
            Ok(commit) => self.bring(&cache, &place, commit, select),
            Err(_) => Ok(()),
        };
        match (commit, brought) {
            (Ok(commit), Ok(())) => {
                self.remember(&cache, &place, &commit);
                Ok(cache.fetched(commit))
            }
            (Err(failure), _) | (_, Err(failure)) => {
                self.as_it_was(&cache, &place, remembered, failure, select)
            }
        }
    }

    /// Files that are in the cache already, whatever the Hub has by now; none if `select` finds too little, or
    /// if one of them is damaged.
    pub fn cached(&self, repo: &Repo, revision: &str, select: Select) -> Option<Fetched> {
        let cache = Cache::new(&self.settings.cache, repo);
        let commit = match is_commit(revision) {
            true => revision.to_string(),
            false => cache.commit_of(revision)?,
        };
        let held = self.held(&cache, &commit, select);
        matches!(held, Ok(Held::Whole)).then(|| cache.fetched(commit))
    }

    /// What the cache holds of the files that `select` chooses of a commit.
    fn held(&self, cache: &Cache, commit: &str, select: Select) -> Result<Held, HubError> {
        let Ok(names) = select(&cache.files(commit)) else {
            return Ok(Held::NotAll);
        };
        for name in names {
            let path = cache.snapshot(commit).join(&name);
            let damage = cache.damage(commit, &name).map_err(HubError::io(&path))?;
            if let Some(Damage { path, kind }) = damage {
                return Ok(Held::Damaged(HubError::DamagedCache { path, kind }));
            }
        }
        Ok(Held::Whole)
    }

    /// The files of a revision that need not be looked up: it is a commit, or the Hub may not be asked.
    fn settled(&self, cache: &Cache, place: &Place, select: Select) -> Result<Fetched, HubError> {
        let commit = match is_commit(place.revision) {
            true => Some(place.revision.to_string()),
            false => cache.commit_of(place.revision),
        };
        let commit = commit.ok_or_else(|| self.offline(place))?;
        if self.settings.offline {
            match self.held(cache, &commit, select)? {
                Held::Whole => {}
                Held::NotAll => return Err(self.offline(place)),
                Held::Damaged(failure) => return Err(failure),
            }
        } else {
            self.bring(cache, place, &commit, select)?;
        }
        Ok(cache.fetched(commit))
    }

    /// Sees to it that the files of a commit are here and right.
    fn bring(
        &self,
        cache: &Cache,
        place: &Place,
        commit: &str,
        select: Select,
    ) -> Result<(), HubError> {
        match self.held(cache, commit, select)? {
            Held::Whole => Ok(()),
            Held::NotAll => self.download(cache, place, commit, select),
            Held::Damaged(failure) => {
                self.note(&format!("{failure}; fetching it anew"));
                let fetched = self.download(cache, place, commit, select);
                // Which file it is says more than that the Hub is away.
                fetched.map_err(|other| match other.is_away() {
                    Some(_) => failure,
                    None => other,
                })
            }
        }
    }

    /// The files of a revision as they were when they were fetched, if `failure` is that of a Hub that is away.
    fn as_it_was(
        &self,
        cache: &Cache,
        place: &Place,
        remembered: Option<String>,
        failure: HubError,
        select: Select,
    ) -> Result<Fetched, HubError> {
        let (Some(commit), Some(reason)) = (remembered, failure.is_away()) else {
            return Err(failure);
        };
        match self.held(cache, &commit, select)? {
            Held::Whole => {
                self.note(&format!("{reason}: {place} as it was when it was fetched"));
                Ok(cache.fetched(commit))
            }
            Held::NotAll => Err(failure),
            Held::Damaged(damage) => Err(damage),
        }
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
}

#[cfg(feature = "http")]
impl Hub {
    /// Records where a revision stands. A cache that cannot be written is read all the same.
    fn remember(&self, cache: &Cache, place: &Place, commit: &str) {
        if let Err(failure) = cache.record(place.revision, commit) {
            self.note(&format!("{failure}; what is there is used"));
        }
    }

    /// The commit that a revision is at; asked for only once if the cache has an answer too.
    fn look_up(&self, place: &Place, is_remembered: bool) -> Result<String, HubError> {
        let mut settings = self.settings.clone();
        if is_remembered {
            settings.tries = 1;
        }
        Remote::new(&settings, self.observer.clone())?.commit(place)
    }

    /// Fetches what `select` chooses of all that the repository has.
    fn download(
        &self,
        cache: &Cache,
        place: &Place,
        commit: &str,
        select: Select,
    ) -> Result<(), HubError> {
        let remote = Remote::new(&self.settings, self.observer.clone())?;
        let names = remote.files(place, commit)?;
        let outside = |name: &&String| !is_path(name);
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
            let download = Download {
                remote: &remote,
                cache,
                place,
                commit,
                name,
                observer: &*self.observer,
            };
            download.run()?;
        }
        Ok(())
    }
}

#[cfg(not(feature = "http"))]
impl Hub {
    /// Nothing is looked up, so there is nothing to record.
    fn remember(&self, _: &Cache, _: &Place, _: &str) {}

    fn look_up(&self, place: &Place, _is_remembered: bool) -> Result<String, HubError> {
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
        self.look_up(place, false).map(|_| ())
    }
}
