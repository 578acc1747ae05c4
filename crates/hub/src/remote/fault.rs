//! What can go wrong with one request, and whether it may pass.

use std::io;
use std::time::Duration;

use ureq::http::{HeaderMap, StatusCode};
use ureq::{Error, Timeout};

use crate::error::HubError;
use crate::settings::Settings;

/// The longest time that a server may ask to wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What went wrong with one request.
#[derive(Debug)]
pub(crate) enum Fault {
    /// 401, and the Hub's word for the reason.
    Unauthorized(Reason),
    /// 403, and the Hub's word for the reason.
    Forbidden(Reason),
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

/// Why access is refused, by the header `X-Error-Code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A repository whose terms have to be accepted.
    Gated,
    /// A repository that is not there, or not for whoever asks.
    Unknown,
    /// None that the Hub tells.
    Untold,
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
            Self::Unauthorized(reason) => HubError::Unauthorized {
                place,
                what: unauthorized(reason, settings.token.is_some()),
            },
            Self::Forbidden(reason) => HubError::Forbidden {
                place,
                what: forbidden(reason),
            },
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

/// What a refusal for want of a token means, and what to do.
fn unauthorized(reason: Reason, has_token: bool) -> &'static str {
    match (reason, has_token) {
        (Reason::Gated, _) => {
            "its owner gives access to those who accept its terms (401): accept them on the repository's page, and set HF_TOKEN to a token of that account"
        }
        (Reason::Unknown, false) => {
            "no such repository, or a private one (401): check the name, or set HF_TOKEN to a token that may read it"
        }
        (_, true) => {
            "the Hub asks for a token (401) and does not accept the one given: check the name, and set HF_TOKEN to a token that may read it"
        }
        (Reason::Untold, false) => {
            "the Hub asks for a token (401): check the name, and set HF_TOKEN to a token that may read it"
        }
    }
}

/// What a refusal of a token means, and what to do.
fn forbidden(reason: Reason) -> &'static str {
    match reason {
        Reason::Gated => {
            "its owner has not given access to the account of this token (403): ask for it on the repository's page, or set HF_TOKEN to a token of another account"
        }
        _ => {
            "the Hub refuses access (403): accept the terms on the repository's page, and set HF_TOKEN to a token that may read it"
        }
    }
}

/// What a status says.
pub(super) fn of_status(status: StatusCode, headers: &HeaderMap) -> Fault {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let reason = match text("x-error-code") {
        Some("GatedRepo") => Reason::Gated,
        Some("RepoNotFound") => Reason::Unknown,
        _ => Reason::Untold,
    };
    let wait = || text("retry-after")?.parse().ok().map(Duration::from_secs);
    match status.as_u16() {
        401 => Fault::Unauthorized(reason),
        403 => Fault::Forbidden(reason),
        404 => Fault::NotFound,
        429 => Fault::RateLimited(wait()),
        status => Fault::Status(status),
    }
}

/// What the connection says.
pub(super) fn of_transport(error: Error) -> Fault {
    match error {
        Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
            Fault::Unreachable("no connection in time".into())
        }
        Error::Timeout(_) => Fault::Silent,
        Error::HostNotFound => Fault::Unreachable("no such server".into()),
        Error::Io(error) => of_io(&error),
        Error::BodyStalled => Fault::Cut("nothing more came".into()),
        Error::Protocol(_) => Fault::Answer("it does not speak HTTP".into()),
        Error::BodyExceedsLimit(most) => {
            Fault::Answer(format!("its answer has more than {most} bytes"))
        }
        Error::LargeResponseHeader(..) => {
            Fault::Answer("the head of its answer is too long".into())
        }
        Error::BadUri(_) | Error::Http(_) => {
            Fault::Answer("it sends to an address that is not of the web".into())
        }
        error => Fault::Unreachable(error.to_string()),
    }
}

fn of_io(error: &io::Error) -> Fault {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut, UnexpectedEof, WouldBlock,
    };
    match error.kind() {
        TimedOut | WouldBlock => Fault::Silent,
        BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof => {
            Fault::Cut(error.to_string())
        }
        _ => Fault::Unreachable(error.to_string()),
    }
}
