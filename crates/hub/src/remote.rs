//! Asking the Hub, through hf-hub.
//!
//! hf-hub's own downloads are not used: they check neither status nor length nor checksum of what they store. Its metadata of
//! a single file are not either: they are read behind the redirection to where large files are stored, which tells neither
//! checksum nor commit. What is used are its commits, its listings and its streams of bytes.

use futures_util::{Stream, StreamExt};
use hf_hub::repository::{RepoTreeEntry, RepoType};
use hf_hub::{HFClient, HFError, HFRepository};
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, ETAG, HeaderMap, LOCATION};
use reqwest::redirect::Policy;
use tokio::runtime::Runtime;

use crate::checksum::Checksum;
use crate::hub::Place;
use crate::reference::is_commit;
use crate::{HubError, RepoKind, Settings};

mod fault;

pub(crate) use fault::Fault;
use fault::{of_hub, of_status, of_transport};

/// Redirections that are followed on the way to a file's metadata.
const MAX_REDIRECTIONS: usize = 5;
/// Files of one repository that are listed.
const MAX_FILES: usize = 100_000;

/// The Hub, ready to be asked.
pub(crate) struct Remote {
    settings: Settings,
    runtime: Runtime,
    client: HFClient,
    /// Follows no redirection.
    direct: reqwest::Client,
}

/// What the Hub promises of a file.
pub(crate) struct Metadata {
    pub(crate) size: u64,
    pub(crate) checksum: Checksum,
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
    pub(crate) fn new(settings: &Settings) -> Result<Self, HubError> {
        let failed = |cause: String| HubError::Unreachable {
            endpoint: settings.endpoint.clone(),
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
        })
    }

    /// The commit that a revision is at.
    pub(crate) fn commit(&self, place: &Place) -> Result<String, HubError> {
        let revision = place.revision;
        let found = self.again(&place.to_string(), || {
            let sha = with_repo!(self, place, repo => {
                let info = repo.info().revision(revision).send();
                self.runtime.block_on(info).map(|info| info.sha)
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
            self.runtime.block_on(repo.exists().send())
        });
        match exists {
            Ok(true) => "no such revision (404): leave it out for main".into(),
            _ => format!("no such repository at {} (404): check the name", self.settings.endpoint),
        }
    }

    /// The names of all files at a commit.
    pub(crate) fn files(&self, place: &Place, commit: &str) -> Result<Vec<String>, HubError> {
        self.again(&place.to_string(), || {
            with_repo!(self, place, repo => self.list(&repo, commit))
        })
    }

    fn list<T: RepoType>(&self, repo: &HFRepository<T>, commit: &str) -> Result<Vec<String>, Fault> {
        self.runtime.block_on(async {
            let entries = repo.list_tree().revision(commit).recursive(true).send();
            let mut entries = Box::pin(entries.map_err(of_hub)?);
            let mut names = Vec::new();
            while let Some(entry) = entries.next().await {
                if let RepoTreeEntry::File { path, .. } = entry.map_err(of_hub)? {
                    names.push(path);
                }
                if names.len() > MAX_FILES {
                    return Err(Fault::Answer(format!("it lists more than {MAX_FILES} files")));
                }
            }
            Ok(names)
        })
    }

    /// Size and checksum of a file.
    pub(crate) fn metadata(
        &self,
        place: &Place,
        commit: &str,
        name: &str,
    ) -> Result<Metadata, HubError> {
        let url = self.url(place, commit, name)?;
        self.again(&format!("{place}: {name}"), || {
            self.runtime.block_on(self.head(url.clone()))
        })
    }

    /// The headers that stand before the redirection to where large files are stored.
    async fn head(&self, mut url: reqwest::Url) -> Result<Metadata, Fault> {
        for _ in 0..MAX_REDIRECTIONS {
            let mut request = self.direct.head(url.clone());
            if let Some(token) = &self.settings.token {
                request = request.header(AUTHORIZATION, format!("Bearer {token}"));
            }
            let response = request.send().await.map_err(|e| of_transport(&e))?;
            let (status, headers) = (response.status(), response.headers());
            if !status.is_success() && !status.is_redirection() {
                return Err(of_status(status.as_u16(), headers));
            }
            if status.is_success() || headers.contains_key("x-linked-etag") {
                return metadata(headers);
            }
            // Renamed: the same at another address of the Hub. The token goes nowhere else.
            let to = text(headers, LOCATION.as_str()).and_then(|to| url.join(to).ok());
            match to.filter(|to| to.origin() == url.origin()) {
                Some(to) => url = to,
                None => return Err(Fault::Answer("it sends elsewhere without a checksum".into())),
            }
        }
        Err(Fault::Answer("it sends from address to address".into()))
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
            return match start {
                0 => Err(Fault::Answer("it sends something else".into())),
                _ => self
                    .read(place, commit, name, 0, size)
                    .map(|reader| Reader {
                        starts_over: true,
                        ..reader
                    }),
            };
        }
        Ok(Reader {
            runtime: &self.runtime,
            stream: Box::new(stream.map(|bytes| bytes.map(Vec::from))),
            starts_over: start == 0,
        })
    }

    fn url(&self, place: &Place, commit: &str, name: &str) -> Result<reqwest::Url, HubError> {
        let unreachable = || HubError::Unreachable {
            endpoint: self.settings.endpoint.clone(),
            cause: "no address of a server".into(),
        };
        let mut url =
            reqwest::Url::parse(&self.settings.endpoint).map_err(|_| unreachable())?;
        let kind = match place.repo.kind {
            RepoKind::Model => None,
            RepoKind::Dataset => Some("datasets"),
        };
        {
            let mut segments = url.path_segments_mut().map_err(|()| unreachable())?;
            segments.pop_if_empty();
            segments.extend(kind).extend(place.repo.id.split('/'));
            segments.extend(["resolve", commit]).extend(name.split('/'));
        }
        Ok(url)
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
                Err(fault) if made < tries && fault.may_pass() => {
                    std::thread::sleep(fault.wait().unwrap_or(wait));
                    wait = wait.saturating_mul(2);
                }
                Err(fault) => return Err(fault.at(what, &self.settings, made)),
            }
        }
        unreachable!("the last attempt returns")
    }
}

/// Size and checksum as the Hub's headers say.
fn metadata(headers: &HeaderMap) -> Result<Metadata, Fault> {
    let either = |linked, own| text(headers, linked).or_else(|| text(headers, own));
    let size = either("x-linked-size", CONTENT_LENGTH.as_str()).and_then(|size| size.parse().ok());
    let checksum = either("x-linked-etag", ETAG.as_str()).and_then(Checksum::of_etag);
    match (size, checksum) {
        (Some(size), Some(checksum)) => Ok(Metadata { size, checksum }),
        (None, _) => Err(Fault::Answer("it does not tell the file's size".into())),
        (_, None) => Err(Fault::Answer("it does not tell the file's checksum".into())),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
