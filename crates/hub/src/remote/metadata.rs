//! Size and checksum of one file, from the Hub's own headers.

use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, ETAG, HeaderMap, LOCATION};

use super::Remote;
use super::fault::{Fault, of_status, of_transport};
use crate::checksum::Checksum;
use crate::hub::Place;
use crate::{HubError, RepoKind};

/// Redirections that are followed on the way to a file's metadata.
const MAX_REDIRECTIONS: usize = 5;

/// What the Hub promises of a file.
pub(crate) struct Metadata {
    pub(crate) size: u64,
    pub(crate) checksum: Checksum,
}

impl Remote {
    /// Size and checksum of a file.
    pub(crate) fn metadata(
        &self,
        place: &Place,
        commit: &str,
        name: &str,
    ) -> Result<Metadata, HubError> {
        let url = self.url(place, commit, name)?;
        self.again(&format!("{place}: {name}"), || {
            self.runtime
                .block_on(self.in_time(self.head(url.clone())))?
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
                None => {
                    return Err(Fault::Answer(
                        "it sends elsewhere without a checksum".into(),
                    ));
                }
            }
        }
        Err(Fault::Answer("it sends from address to address".into()))
    }

    fn url(&self, place: &Place, commit: &str, name: &str) -> Result<reqwest::Url, HubError> {
        let unreachable = || HubError::Unreachable {
            endpoint: self.settings.shown_endpoint(),
            cause: "no address of a server".into(),
        };
        let mut url = reqwest::Url::parse(&self.settings.endpoint).map_err(|_| unreachable())?;
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
