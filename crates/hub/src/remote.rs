//! Asking the Hub, through hf-hub.
//!
//! hf-hub's own downloads are not used: they check neither status nor length nor checksum of what they store.
//! Its metadata of a single file are not either: they are read behind the redirection to where large files
//! are stored, which tells neither checksum nor commit. What is used are its commits, its listings and its
//! streams of bytes.
//!
//! hf-hub reads the answers about commits and listings whole and offers no bound on their length: what bounds
//! them is time, and the number of files listed.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use hf_hub::repository::{RepoTreeEntry, RepoType};
use hf_hub::{HFClient, HFError, HFRepository};
use reqwest::redirect::Policy;
use tokio::runtime::Runtime;

use crate::hub::Place;
use crate::reference::is_commit;
use crate::{HubError, HubEvent, HubObserver, RepoKind, Settings};

mod fault;
mod metadata;

pub(crate) use fault::Fault;
use fault::of_hub;
pub(crate) use metadata::Metadata;

/// Files of one repository that are listed.
const MAX_FILES: usize = 100_000;

/// The Hub, ready to be asked.
pub(crate) struct Remote {
    settings: Settings,
    runtime: Runtime,
    client: HFClient,
    /// Follows no redirection.
    direct: reqwest::Client,
    observer: Arc<dyn HubObserver>,
}

/// The bytes of a file as they arrive.
pub(crate) struct Reader<'a> {
    runtime: &'a Runtime,
    stream: Box<dyn Stream<Item = Result<Vec<u8>, HFError>> + Send + Unpin>,
    /// Whether they are those from the beginning on, whatever was asked for.
    pub(crate) starts_over: bool,
}

impl Reader<'_> {
    /// The next bytes, none at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        let next = self.runtime.block_on(self.stream.next());
        next.transpose().map_err(of_hub)
    }
}

/// Does the same with the repository of either kind, whose types differ.
macro_rules! with_repo {
    ($self:ident, $place:ident, $repo:ident => $what:expr) => {{
        let (owner, name) = $place.repo.split();
        match $place.repo.kind {
            RepoKind::Model => {
                let $repo = $self.client.model(owner, name);
                $what
            }
            RepoKind::Dataset => {
                let $repo = $self.client.dataset(owner, name);
                $what
            }
        }
    }};
}

impl Remote {
    pub(crate) fn new(
        settings: &Settings,
        observer: Arc<dyn HubObserver>,
    ) -> Result<Self, HubError> {
        settings.check()?;
        let failed = |cause: String| HubError::Unreachable {
            endpoint: settings.shown_endpoint(),
            cause,
        };
        let agent = concat!("pfgmpp/", env!("CARGO_PKG_VERSION"));
        let client = || {
            reqwest::Client::builder()
                .user_agent(agent)
                .connect_timeout(settings.timeout)
                .read_timeout(settings.timeout)
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| failed(e.to_string()))?;
        let direct = client().redirect(Policy::none()).build();
        let direct = direct.map_err(|e| failed(fault::cause(&e)))?;
        let following = client().build().map_err(|e| failed(fault::cause(&e)))?;
        let mut builder = HFClient::builder()
            .endpoint(&settings.endpoint)
            .client(following)
            .cache_enabled(false)
            .retry_max_attempts(0);
        if let Some(token) = &settings.token {
            builder = builder.token(token);
        }
        // It starts tasks of its own.
        let client = {
            let _within = runtime.enter();
            builder.build().map_err(|e| failed(e.to_string()))?
        };
        Ok(Self {
            settings: settings.clone(),
            runtime,
            client,
            direct,
            observer,
        })
    }

    /// The commit that a revision is at.
    pub(crate) fn commit(&self, place: &Place) -> Result<String, HubError> {
        let revision = place.revision;
        let found = self.again(&place.to_string(), || {
            let sha = with_repo!(self, place, repo => {
                let info = repo.info().revision(revision).send();
                self.runtime.block_on(self.in_time(info))?.map(|info| info.sha)
            });
            let sha = sha.map_err(of_hub)?;
            let known = sha.filter(|sha| is_commit(sha));
            known.ok_or_else(|| Fault::Answer("it names no commit".into()))
        });
        match found {
            Err(HubError::NotFound { place: at, .. }) => Err(HubError::NotFound {
                what: self.which_is_missing(place),
                place: at,
            }),
            found => found,
        }
    }

    /// Whether it is the repository or the revision that is not there.
    fn which_is_missing(&self, place: &Place) -> String {
        let exists = with_repo!(self, place, repo => {
            self.runtime.block_on(self.in_time(repo.exists().send()))
        });
        match exists {
            Ok(Ok(true)) => "no such revision (404): leave it out for main".into(),
            _ => format!(
                "no such repository at {} (404): check the name",
                self.settings.shown_endpoint()
            ),
        }
    }

    /// The names of all files at a commit.
    pub(crate) fn files(&self, place: &Place, commit: &str) -> Result<Vec<String>, HubError> {
        self.again(
            &place.to_string(),
            || with_repo!(self, place, repo => self.list(&repo, commit)),
        )
    }

    fn list<T: RepoType>(
        &self,
        repo: &HFRepository<T>,
        commit: &str,
    ) -> Result<Vec<String>, Fault> {
        self.runtime.block_on(async {
            let entries = repo.list_tree().revision(commit).recursive(true).send();
            let mut entries = Box::pin(entries.map_err(of_hub)?);
            let mut names = Vec::new();
            while let Some(entry) = self.in_time(entries.next()).await? {
                if let RepoTreeEntry::File { path, .. } = entry.map_err(of_hub)? {
                    names.push(path);
                }
                if names.len() > MAX_FILES {
                    return Err(Fault::Answer(format!(
                        "it lists more than {MAX_FILES} files"
                    )));
                }
            }
            Ok(names)
        })
    }

    /// The bytes of a file, `size` of them, from `start` on.
    pub(crate) fn read(
        &self,
        place: &Place,
        commit: &str,
        name: &str,
        start: u64,
        size: u64,
    ) -> Result<Reader<'_>, Fault> {
        let range = (start > 0).then_some(start..size);
        let (len, stream) = with_repo!(self, place, repo => {
            let stream = repo
                .download_file_stream()
                .filename(name)
                .revision(commit)
                .maybe_range(range)
                .send();
            self.runtime.block_on(stream)
        })
        .map_err(of_hub)?;
        // A server that knows no ranges sends everything; hf-hub does not tell its status.
        let as_asked = start == 0 || len == Some(size - start);
        if !as_asked {
            let reader = self.read(place, commit, name, 0, size)?;
            return Ok(Reader {
                starts_over: true,
                ..reader
            });
        }
        Ok(Reader {
            runtime: &self.runtime,
            stream: Box::new(stream.map(|bytes| bytes.map(Vec::from))),
            starts_over: start == 0,
        })
    }

    /// What comes of a request, unless it takes longer than silence may: bytes that trickle are as good as none.
    async fn in_time<T>(&self, request: impl Future<Output = T>) -> Result<T, Fault> {
        let most = self.settings.timeout.saturating_mul(2);
        let within = tokio::time::timeout(most, request).await;
        within.map_err(|_| Fault::Silent)
    }

    /// Waits as long as the server asks, or else as long as is usual.
    fn sleep(&self, what: &str, fault: &Fault, usual: Duration) {
        let text = match (fault, fault.wait()) {
            (_, Some(wait)) => Some(format!("{what}: asked to wait {} s", wait.as_secs())),
            (Fault::Silent, None) => Some(format!("{what}: no answer yet, asking again")),
            _ => None,
        };
        if let Some(text) = text {
            self.observer.observe(HubEvent::Note(&text));
        }
        std::thread::sleep(fault.wait().unwrap_or(usual));
    }

    /// Does something until it is done, fails for good, or has failed as often as the settings allow.
    pub(crate) fn again<T>(
        &self,
        what: &str,
        mut attempt: impl FnMut() -> Result<T, Fault>,
    ) -> Result<T, HubError> {
        let mut wait = self.settings.first_wait;
        let tries = self.settings.tries.max(1);
        for made in 1..=tries {
            match attempt() {
                Ok(done) => return Ok(done),
                Err(fault) if made < tries.min(fault.most_tries()) && fault.may_pass() => {
                    self.sleep(what, &fault, wait);
                    wait = wait.saturating_mul(2);
                }
                Err(fault) => return Err(fault.at(what, &self.settings, made)),
            }
        }
        unreachable!("the last attempt returns")
    }
}
