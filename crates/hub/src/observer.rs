//! What a watcher of downloads is told.

/// What happens while files are fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HubEvent<'a> {
    /// So much of a file is here; the first one of a file says how much was here before.
    Progress {
        /// The file, with its folder in the repository.
        file: &'a str,
        /// Bytes that are here.
        done: u64,
        /// Bytes of the file.
        total: u64,
    },
    /// A file is here, and its checksum is right.
    Fetched {
        /// The file, with its folder in the repository.
        file: &'a str,
        /// Bytes of the file.
        total: u64,
    },
    /// Something that a user may wonder about, in a sentence.
    Note(&'a str),
}

/// Watches downloads.
pub trait HubObserver: Send + Sync {
    /// Called on the thread that fetches.
    fn observe(&self, event: HubEvent);
}

impl<F: Fn(HubEvent) + Send + Sync> HubObserver for F {
    fn observe(&self, event: HubEvent) {
        self(event);
    }
}
