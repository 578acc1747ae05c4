//! Commits and the files in them, with bounds on what a server may answer.

use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::Body;
use ureq::http::{HeaderMap, Response};

use super::address::{join, origin};
use super::client::{Remote, next};
use super::fault::{Fault, of_status, of_transport};
use crate::error::HubError;
use crate::place::Place;
use crate::reference::{RepoKind, is_commit};

/// Files of one repository that are listed.
const MAX_FILES: usize = 100_000;
/// Pages of one listing, each of which the Hub fills with a thousand.
const MAX_PAGES: usize = 1_000;
/// Length of one answer, in bytes.
const MAX_ANSWER: u64 = 32 << 20;
/// How often longer than one request a listing of many pages may take.
const MAX_LISTING: u32 = 20;

/// What is read of the answer about a revision.
#[derive(Deserialize)]
struct Revision {
    sha: String,
}

/// What is read of each entry of a listing.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: String,
    path: String,
}

impl Remote {
    /// The commit that a revision is at.
    pub(crate) fn commit(&self, place: &Place) -> Result<String, HubError> {
        let found = self.again(&place.to_string(), || {
            let revision: Revision = answer(self.revision(place)?)?;
            match is_commit(&revision.sha) {
                true => Ok(revision.sha),
                false => Err(Fault::Answer("it names no commit".into())),
            }
        });
        match found {
            Err(HubError::NotFound { place: at, .. }) => Err(HubError::NotFound {
                what: self.which_is_missing(place),
                place: at,
            }),
            found => found,
        }
    }

    /// What the Hub says of a revision: hf-hub's request, then those that it leads to.
    fn revision(&self, place: &Place) -> Result<Response<Body>, Fault> {
        let request = self.repo(place, place.revision).info_request();
        let address = request.uri_ref().map(ToString::to_string);
        let response = self.call(request, Some(self.longest()))?;
        match address {
            // A repository that was renamed.
            Some(address) if response.status().is_redirection() => {
                self.described(&next(&address, &response)?)
            }
            _ => Ok(response),
        }
    }

    /// What the Hub answers at an address of descriptions.
    fn described(&self, address: &str) -> Result<Response<Body>, Fault> {
        self.follow(address, Some(self.longest()), |address| self.get(address))
    }

    /// Whether it is the repository or the revision that is not there.
    fn which_is_missing(&self, place: &Place) -> String {
        let found = self.described(&self.api_address(place));
        match found.is_ok_and(|response| response.status().is_success()) {
            true => {
                "no such revision (404): leave it out for main, and write a slash within one as %2F"
                    .into()
            }
            false => format!(
                "no such repository at {} (404): check the name",
                self.settings.shown_endpoint()
            ),
        }
    }

    /// The names of all files at a commit.
    pub(crate) fn files(&self, place: &Place, commit: &str) -> Result<Vec<String>, HubError> {
        let end = Instant::now() + self.longest().saturating_mul(MAX_LISTING);
        let mut names = Vec::new();
        let first = format!("{}/tree/{commit}?recursive=true", self.api_address(place));
        let mut page = Some(first);
        for _ in 0..MAX_PAGES {
            let Some(address) = page else {
                return Ok(names);
            };
            let what = place.to_string();
            let (more, next) = self.again(&what, || self.page(&address))?;
            names.extend(more);
            page = next;
            if names.len() > MAX_FILES || Instant::now() > end {
                break;
            }
        }
        let problem =
            format!("it lists more than {MAX_FILES} files or {MAX_PAGES} pages, or without end");
        Err(Fault::Answer(problem).at(&place.to_string(), &self.settings, 1))
    }

    /// The names of the files on one page of a listing, and the address of the next page.
    fn page(&self, address: &str) -> Result<(Vec<String>, Option<String>), Fault> {
        let response = self.described(address)?;
        let next = next_page(response.headers()).map(|to| join(address, &to));
        let entries: Vec<Entry> = answer(response)?;
        let files = entries.into_iter().filter(|entry| entry.kind == "file");
        let names = files.map(|entry| entry.path).collect();
        match next {
            None => Ok((names, None)),
            Some(Some(to)) if origin(&to) == origin(address) => Ok((names, Some(to))),
            Some(_) => Err(Fault::Answer(
                "its listing goes on at an address elsewhere".into(),
            )),
        }
    }

    /// The longest that one request for a description may take.
    fn longest(&self) -> Duration {
        self.settings.timeout.saturating_mul(2)
    }

    fn api_address(&self, place: &Place) -> String {
        let kind = match place.repo.kind {
            RepoKind::Model => "models",
            RepoKind::Dataset => "datasets",
        };
        format!("{}/api/{kind}/{}", self.settings.endpoint, place.repo.id)
    }
}

/// Reads an answer, of a bounded length.
fn answer<T: DeserializeOwned>(response: Response<Body>) -> Result<T, Fault> {
    let (parts, mut body) = response.into_parts();
    if !parts.status.is_success() {
        return Err(of_status(parts.status, &parts.headers));
    }
    let bytes = body.with_config().limit(MAX_ANSWER).read_to_vec();
    let bytes = bytes.map_err(of_transport)?;
    serde_json::from_slice(&bytes).map_err(|_| Fault::Answer("its answer cannot be read".into()))
}

/// The address of the page after this one: `Link: <address>; rel="next"`.
fn next_page(headers: &HeaderMap) -> Option<String> {
    let links = headers.get("link")?.to_str().ok()?;
    links.split(',').find_map(|link| {
        let (address, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = rest.split(';').any(|part| part.trim() == "rel=\"next\"");
        is_next.then(|| address.to_string())
    })
}
