//! Size and checksum of one file, from the Hub's own headers.
//!
//! hf-hub reads them behind the redirection to where large files are stored, which tells no checksum.

use ureq::http::HeaderMap;

use super::address::origin;
use super::client::{Remote, next};
use super::fault::{Fault, of_status};
use crate::checksum::Checksum;
use crate::error::HubError;
use crate::place::Place;

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
        let address = self.file_address(place, commit, name);
        self.again(&format!("{place}: {name}"), || self.promised(&address))
    }

    /// The headers that stand before the redirection to where large files are stored.
    fn promised(&self, address: &str) -> Result<Metadata, Fault> {
        let mut address = address.to_string();
        for _ in 0..MAX_REDIRECTIONS {
            let total = self.settings.timeout.saturating_mul(2);
            let response = self.call(self.head(&address), Some(total))?;
            let (status, headers) = (response.status(), response.headers());
            if !status.is_success() && !status.is_redirection() {
                return Err(of_status(status, headers));
            }
            if status.is_success() || headers.contains_key("x-linked-etag") {
                return metadata(headers);
            }
            // Renamed: the same at another address of the Hub.
            let to = next(&address, &response)?;
            if origin(&to) != origin(&address) {
                let problem = "it sends elsewhere without a checksum";
                return Err(Fault::Answer(problem.into()));
            }
            address = to;
        }
        Err(Fault::Answer("it sends from address to address".into()))
    }
}

/// Size and checksum as the Hub's headers say.
fn metadata(headers: &HeaderMap) -> Result<Metadata, Fault> {
    let either = |linked, own| text(headers, linked).or_else(|| text(headers, own));
    let size = either("x-linked-size", "content-length").and_then(|size| size.parse().ok());
    let checksum = either("x-linked-etag", "etag").and_then(Checksum::of_etag);
    match (size, checksum) {
        (Some(size), Some(checksum)) => Ok(Metadata { size, checksum }),
        (None, _) => Err(Fault::Answer("it does not tell the file's size".into())),
        (_, None) => Err(Fault::Answer("it does not tell the file's checksum".into())),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
