//! What can go wrong with one request, and whether it may pass.

use std::error::Error;
use std::io;
use std::time::Duration;

use hf_hub::HFError;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::{HubError, Settings};

/// The longest time that a server may ask to wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What went wrong with one request.
#[derive(Debug)]
pub(crate) enum Fault {
    Unauthorized,
    Forbidden,
    NotFound,
    RateLimited(Option<Duration>),
    /// Another status.
    Status(u16),
    /// No connection.
    Unreachable(String),
    /// A connection that broke off.
    Cut(String),
    /// A connection over which nothing came.
    Silent,
    /// An answer that makes no sense.
    Answer(String),
    /// Bytes that are not what was promised.
    Damaged(String),
    /// The file that they go to.
    File(io::Error),
}

impl Fault {
    /// Whether the same request may succeed a little later.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::RateLimited(_) | Self::Cut(_) | Self::Silent => true,
            Self::Status(status) => matches!(status, 408 | 500..=599),
            _ => false,
        }
    }

    /// How often the same request is made at most: silence is long already.
    pub(crate) fn most_tries(&self) -> u32 {
        match self {
            Self::Silent => 2,
            _ => u32::MAX,
        }
    }

    /// How long the server asks to wait, within reason.
    pub(crate) fn wait(&self) -> Option<Duration> {
        match self {
            Self::RateLimited(wait) => wait.map(|wait| wait.min(LONGEST_WAIT)),
            _ => None,
        }
    }

    /// The error of what was asked for, after so many tries.
    pub(crate) fn at(self, what: &str, settings: &Settings, tries: u32) -> HubError {
        let place = what.to_string();
        match self {
            Self::Unauthorized => HubError::Unauthorized { place },
            Self::Forbidden => HubError::Forbidden { place },
            Self::NotFound => HubError::NotFound {
                place,
                what: "not there (404): check the name".into(),
            },
            Self::RateLimited(_) => HubError::RateLimited { place, tries },
            Self::Status(status) if self.may_pass() => HubError::Server {
                place,
                status,
                tries,
            },
            Self::Status(status) => HubError::Answer {
                place,
                problem: format!("the server is no Hub: it answers with status {status}"),
            },
            Self::Silent => HubError::Silent {
                place,
                endpoint: settings.shown_endpoint(),
                cause: format!("within {} s", settings.timeout.as_secs()),
                tries,
            },
            Self::Unreachable(cause) => HubError::Unreachable {
                endpoint: settings.shown_endpoint(),
                cause,
            },
            Self::Cut(cause) => HubError::Cut {
                place,
                cause,
                tries,
            },
            Self::Answer(problem) => HubError::Answer {
                place,
                problem: format!("the server is no Hub: {problem}")
                    .replace(&settings.endpoint, &settings.shown_endpoint()),
            },
            Self::Damaged(problem) => HubError::Damaged { place, problem },
            Self::File(source) => HubError::Io {
                path: settings.cache.clone(),
                source,
            },
        }
    }
}

/// What a status says.
pub(super) fn of_status(status: u16, headers: &HeaderMap) -> Fault {
    let wait = || {
        let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
        Some(Duration::from_secs(text.trim().parse().ok()?))
    };
    match status {
        401 => Fault::Unauthorized,
        403 => Fault::Forbidden,
        404 => Fault::NotFound,
        429 => Fault::RateLimited(wait()),
        status => Fault::Status(status),
    }
}

/// What hf-hub says.
pub(super) fn of_hub(error: HFError) -> Fault {
    match error {
        HFError::AuthRequired { .. } => Fault::Unauthorized,
        HFError::Forbidden { .. } => Fault::Forbidden,
        HFError::RepoNotFound { .. }
        | HFError::RevisionNotFound { .. }
        | HFError::EntryNotFound { .. } => Fault::NotFound,
        HFError::RateLimited { retry_after, .. } => Fault::RateLimited(retry_after),
        // Listings come with a status only.
        HFError::Http { context } => of_status(context.status.as_u16(), &HeaderMap::new()),
        HFError::Request { source, .. } => of_transport(&source),
        other => Fault::Answer(other.to_string()),
    }
}

/// What the connection says.
pub(super) fn of_transport(error: &reqwest::Error) -> Fault {
    let reason = cause(error);
    if reason.starts_with("invalid HTTP") {
        Fault::Answer("it does not speak HTTP".into())
    } else if reason.contains("scheme is not") {
        Fault::Answer("it sends to an address that is not of the web".into())
    } else if error.is_connect() {
        Fault::Unreachable(reason)
    } else if error.is_builder() || error.is_redirect() {
        Fault::Answer(reason)
    } else if error.is_decode() && !error.is_timeout() && !has_io_cause(error) {
        Fault::Answer("its answer cannot be read".into())
    } else if error.is_timeout() {
        Fault::Silent
    } else {
        Fault::Cut(reason)
    }
}

fn has_io_cause(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        if error.is::<io::Error>() || error.to_string().contains("end of file") {
            return true;
        }
        source = error.source();
    }
    false
}

/// The innermost cause, where the reason stands.
pub(super) fn cause(error: &reqwest::Error) -> String {
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
