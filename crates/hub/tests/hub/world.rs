//! A server with one repository, a cache, and a record of what is told.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pfgmpp_hub::{Fetched, Hub, HubError, HubEvent, Repo, RepoKind, Settings};

use crate::server::{COMMIT, Server, sha256};

pub const LARGE: &str = "unet/weights.safetensors";
pub const SMALL: &str = "config.json";

pub fn large() -> Vec<u8> {
    (0..200_000u32)
        .map(|i| (i.wrapping_mul(i) >> 3) as u8)
        .collect()
}

pub struct World {
    pub server: Server,
    pub cache: tempfile::TempDir,
    pub events: Arc<Mutex<Vec<String>>>,
}

impl World {
    pub fn new() -> Self {
        let server = Server::start();
        server.add("models/o/n", SMALL, b"{}");
        server.add("models/o/n", LARGE, &large());
        server.add("models/o/n", "more.bin", &[7; 5000]);
        Self {
            server,
            cache: tempfile::tempdir().expect("a folder"),
            events: Arc::default(),
        }
    }

    pub fn settings(&self) -> Settings {
        Settings {
            endpoint: self.server.endpoint(),
            token: Some("hf_test".into()),
            cache: self.cache.path().join("hub"),
            offline: false,
            tries: 3,
            first_wait: Duration::from_millis(1),
            timeout: Duration::from_secs(5),
        }
    }

    pub fn hub(&self, settings: Settings) -> Hub {
        let events = self.events.clone();
        Hub::new(settings).watched_by(Arc::new(move |event: HubEvent| {
            events.lock().expect("no panic").push(format!("{event:?}"));
        }))
    }

    pub fn fetch_with(&self, settings: Settings, revision: &str) -> Result<Fetched, HubError> {
        let repo = Repo::new(RepoKind::Model, "o/n").expect("a name");
        self.hub(settings).fetch(&repo, revision, &wanted)
    }

    pub fn fetch(&self) -> Result<Fetched, HubError> {
        self.fetch_with(self.settings(), "main")
    }

    pub fn error(&self) -> String {
        let error = self.fetch().expect_err("it was fetched").to_string();
        assert!(!error.contains('\n'), "got {error}");
        error
    }

    pub fn repo_folder(&self) -> PathBuf {
        self.cache.path().join("hub/models--o--n")
    }

    pub fn events(&self) -> Vec<String> {
        std::mem::take(&mut *self.events.lock().expect("no panic"))
    }

    /// Whatever the cache holds under the large file's name is that file.
    pub fn assert_no_broken_entry(&self) {
        let entry = self
            .repo_folder()
            .join("snapshots")
            .join(COMMIT)
            .join(LARGE);
        assert!(fs::symlink_metadata(&entry).is_err(), "{entry:?} is there");
        let blob = self.repo_folder().join("blobs").join(sha256(&large()));
        assert!(!blob.exists(), "{blob:?} is there");
    }

    pub fn assert_whole(&self, fetched: &Fetched) {
        assert_eq!(fetched.commit, COMMIT);
        assert!(fs::read(fetched.folder.join(LARGE)).expect("a file") == large());
        assert_eq!(fs::read(fetched.folder.join(SMALL)).expect("a file"), b"{}");
    }
}

/// The configuration and the weights, nothing else.
pub fn wanted(names: &[String]) -> Result<Vec<String>, String> {
    let want = [SMALL, LARGE].map(String::from);
    match want.iter().find(|name| !names.contains(name)) {
        None => Ok(want.to_vec()),
        Some(name) => Err(format!("no {name} there")),
    }
}
