//! Why files of the Hub could not be had.

use std::io;
use std::path::PathBuf;

/// Why files of the Hub could not be had.
///
/// `place` says which: a repository with its revision, and the file if it is about one.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// A text that names nothing of the Hub.
    #[error("{text}: {problem}")]
    Reference {
        /// The text.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// No token, or one that is not accepted.
    #[error("{place}: {what}")]
    Unauthorized {
        /// What was asked for.
        place: String,
        /// What the Hub says, and what to do.
        what: &'static str,
    },
    /// A token that may not read it.
    #[error("{place}: {what}")]
    Forbidden {
        /// What was asked for.
        place: String,
        /// What the Hub says, and what to do.
        what: &'static str,
    },
    /// Not there.
    #[error("{place}: {what}")]
    NotFound {
        /// What was asked for.
        place: String,
        /// What is not there, and what to change.
        what: String,
    },
    /// Too many requests, again and again.
    #[error(
        "{place}: too many requests (429), {}: wait some minutes, or set HF_TOKEN for a higher limit",
        times(*tries)
    )]
    RateLimited {
        /// What was asked for.
        place: String,
        /// How often it was tried.
        tries: u32,
    },
    /// A failure of the server, again and again.
    #[error("{place}: the Hub failed (status {status}), {}: try again later", times(*tries))]
    Server {
        /// What was asked for.
        place: String,
        /// Its status.
        status: u16,
        /// How often it was tried.
        tries: u32,
    },
    /// A server that takes requests and does not answer them.
    #[error(
        "{place}: {endpoint} gave no answer ({cause}), {}: check the network and HF_ENDPOINT, or try again later",
        times(*tries)
    )]
    Silent {
        /// What was asked for.
        place: String,
        /// The address.
        endpoint: String,
        /// How long was waited.
        cause: String,
        /// How often it was tried.
        tries: u32,
    },
    /// A variable of the environment with a value that cannot be used.
    #[error("{name}: {problem}")]
    Setting {
        /// The variable.
        name: &'static str,
        /// What its value must be.
        problem: String,
    },
    /// A file that there is no room for.
    #[error("{place}: needs {needed} bytes, {free} are free in {}: set HF_HOME to a folder with more room", cache.display())]
    Space {
        /// The file.
        place: String,
        /// Bytes that it takes.
        needed: u64,
        /// Bytes that are left.
        free: u64,
        /// The cache.
        cache: PathBuf,
    },
    /// No connection.
    #[error("{endpoint} cannot be reached ({cause}): check the network and HF_ENDPOINT")]
    Unreachable {
        /// The address.
        endpoint: String,
        /// What the system said.
        cause: String,
    },
    /// A connection that broke off, again and again.
    #[error(
        "{place}: the connection broke off ({cause}), {}: the same command goes on from there",
        times(*tries)
    )]
    Cut {
        /// What was asked for.
        place: String,
        /// What the system said.
        cause: String,
        /// How often it was tried.
        tries: u32,
    },
    /// A file whose size or checksum is not what the Hub promised; nothing of it is kept.
    #[error("{place}: {problem}: nothing of it was kept, try again")]
    Damaged {
        /// The file.
        place: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A file of the cache that is no longer what was fetched, and that cannot be fetched anew.
    #[error(
        "{}: damaged, its {kind} is not the one in its name: delete it, and fetch it anew when the Hub can be asked",
        path.display()
    )]
    DamagedCache {
        /// The file.
        path: PathBuf,
        /// What kind of checksum its name is.
        kind: &'static str,
    },
    /// An answer that is not the Hub's.
    #[error("{place}: {problem}: check HF_ENDPOINT")]
    Answer {
        /// What was asked for.
        place: String,
        /// What is wrong with the answer.
        problem: String,
    },
    /// Not in the cache, and nothing may be fetched.
    #[error("{place}: not in the cache {} and HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set: unset it to fetch it", cache.display())]
    Offline {
        /// What was asked for.
        place: String,
        /// The cache.
        cache: PathBuf,
    },
    /// A file name that leads out of its folder.
    #[error(
        "{place}: lists a file named {name:?}, which is no path within a folder: nothing was fetched"
    )]
    Name {
        /// The repository.
        place: String,
        /// The name.
        name: String,
    },
    /// A repository without what was looked for.
    #[error("{place}: {problem}")]
    Unusable {
        /// The repository.
        place: String,
        /// What it has not.
        problem: String,
    },
    /// Built without the feature `http`.
    #[error(
        "{place}: this program was built without access to the Hub: build it with --features hub, or give the path of a folder"
    )]
    NoHttp {
        /// What was asked for.
        place: String,
    },
    /// A file of the cache could not be read or written.
    #[error("{}: {source}: check where the Hub's cache lies, HF_HOME or HF_HUB_CACHE", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
}

impl HubError {
    pub(crate) fn io(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, source }
    }

    /// Whether the user can mend it by asking for something else, or otherwise; a failure may pass by itself.
    pub fn is_bad_input(&self) -> bool {
        !matches!(
            self,
            Self::RateLimited { .. }
                | Self::Server { .. }
                | Self::Unreachable { .. }
                | Self::Silent { .. }
                | Self::Cut { .. }
                | Self::Damaged { .. }
                | Self::Answer { .. }
                | Self::Io { .. }
        )
    }

    /// The failure in a few words if it is that of a Hub or a cache that is of no use now, rather than an answer:
    /// what was fetched before can be used all the same.
    pub(crate) fn is_away(&self) -> Option<String> {
        match self {
            Self::Unreachable { endpoint, .. } | Self::Silent { endpoint, .. } => {
                Some(format!("{endpoint} cannot be reached"))
            }
            Self::Cut { .. } => Some("the connection to the Hub broke off".into()),
            Self::NoHttp { .. } => Some("this program was built without access to the Hub".into()),
            Self::RateLimited { .. } => Some("the Hub refuses more requests (429)".into()),
            Self::Server { status, .. } => Some(format!("the Hub failed (status {status})")),
            Self::Answer { problem, .. } => Some(problem.clone()),
            Self::Io { path, source } => Some(format!("{}: {source}", path.display())),
            _ => None,
        }
    }

    /// The underlying failure of the file system, if it was one.
    pub fn io_error(&self) -> Option<&io::Error> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

fn times(tries: u32) -> String {
    match tries {
        1 => "once".into(),
        tries => format!("{tries} times"),
    }
}
