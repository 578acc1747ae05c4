//! Fetching from a server on this machine, sound and faulty.

mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pfgmpp_hub::{Fetched, Hub, HubError, HubEvent, Repo, RepoKind, Settings};
use server::{COMMIT, Fault, Server, git, sha256};

const LARGE: &str = "unet/weights.safetensors";
const SMALL: &str = "config.json";

fn large() -> Vec<u8> {
    (0..200_000u32)
        .map(|i| (i.wrapping_mul(i) >> 3) as u8)
        .collect()
}

struct World {
    server: Server,
    cache: tempfile::TempDir,
    events: Arc<Mutex<Vec<String>>>,
}

impl World {
    fn new() -> Self {
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

    fn settings(&self) -> Settings {
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

    fn hub(&self, settings: Settings) -> Hub {
        let events = self.events.clone();
        Hub::new(settings).watched_by(Arc::new(move |event: HubEvent| {
            events.lock().expect("no panic").push(format!("{event:?}"));
        }))
    }

    fn fetch_with(&self, settings: Settings, revision: &str) -> Result<Fetched, HubError> {
        let repo = Repo::new(RepoKind::Model, "o/n").expect("a name");
        self.hub(settings).fetch(&repo, revision, &wanted)
    }

    fn fetch(&self) -> Result<Fetched, HubError> {
        self.fetch_with(self.settings(), "main")
    }

    fn error(&self) -> String {
        let error = self.fetch().expect_err("it was fetched").to_string();
        assert!(!error.contains('\n'), "got {error}");
        error
    }

    fn repo_folder(&self) -> PathBuf {
        self.cache.path().join("hub/models--o--n")
    }

    fn events(&self) -> Vec<String> {
        std::mem::take(&mut *self.events.lock().expect("no panic"))
    }

    /// Whatever the cache holds under the large file's name is that file.
    fn assert_no_broken_entry(&self) {
        let entry = self
            .repo_folder()
            .join("snapshots")
            .join(COMMIT)
            .join(LARGE);
        assert!(fs::symlink_metadata(&entry).is_err(), "{entry:?} is there");
        let blob = self.repo_folder().join("blobs").join(sha256(&large()));
        assert!(!blob.exists(), "{blob:?} is there");
    }

    fn assert_whole(&self, fetched: &Fetched) {
        assert_eq!(fetched.commit, COMMIT);
        assert!(fs::read(fetched.folder.join(LARGE)).expect("a file") == large());
        assert_eq!(fs::read(fetched.folder.join(SMALL)).expect("a file"), b"{}");
    }
}

/// The configuration and the weights, nothing else.
fn wanted(names: &[String]) -> Result<Vec<String>, String> {
    let want = [SMALL, LARGE].map(String::from);
    match want.iter().find(|name| !names.contains(name)) {
        None => Ok(want.to_vec()),
        Some(name) => Err(format!("no {name} there")),
    }
}

#[test]
fn first_use_downloads_with_progress_and_the_second_reads_the_cache_with_the_server_down() {
    let mut world = World::new();
    let first = world.fetch().expect("a download");
    world.assert_whole(&first);
    let events = world.events();
    let len = large().len();
    for want in [
        format!("Progress {{ file: \"{LARGE}\", done: 0, total: {len} }}"),
        format!("Progress {{ file: \"{LARGE}\", done: {len}, total: {len} }}"),
        format!("Fetched {{ file: \"{LARGE}\", total: {len} }}"),
    ] {
        assert!(events.contains(&want), "got {events:?}, want {want}");
    }
    let requests = world.server.take_requests();
    assert!(
        !requests.iter().any(|request| request.contains("more.bin")),
        "fetched too much: {requests:?}"
    );
    world.server.stop();
    let second = world.fetch().expect("the cache");
    assert_eq!(second, first);
    let events = world.events();
    assert!(
        events.len() == 1 && events[0].contains("cannot be reached"),
        "got {events:?}"
    );
}

#[test]
fn the_cache_has_the_layout_of_the_hubs_programs() {
    let world = World::new();
    world.fetch().expect("a download");
    let folder = world.repo_folder();
    let reference = fs::read_to_string(folder.join("refs/main")).expect("a file");
    assert_eq!(reference, COMMIT);
    let mut blobs: Vec<String> = fs::read_dir(folder.join("blobs"))
        .expect("a folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("a name")
        })
        .collect();
    blobs.sort();
    let mut want = [git(b"{}"), sha256(&large())];
    want.sort();
    assert_eq!(blobs, want);
    #[cfg(unix)]
    {
        let link = folder.join("snapshots").join(COMMIT).join(LARGE);
        let target = fs::read_link(link).expect("a link");
        let want = Path::new("../../../blobs").join(sha256(&large()));
        assert_eq!(target, want);
    }
}

#[test]
fn a_commit_that_is_here_is_asked_for_nowhere() {
    let world = World::new();
    world.fetch().expect("a download");
    world.server.take_requests();
    let settings = world.settings();
    let again = world.fetch_with(settings, COMMIT).expect("the cache");
    world.assert_whole(&again);
    assert_eq!(world.server.take_requests(), Vec::<String>::new());
}

#[test]
fn offline_reads_the_cache_and_says_so_when_it_has_nothing() {
    let world = World::new();
    let offline = Settings {
        offline: true,
        ..world.settings()
    };
    for revision in ["main", COMMIT] {
        let error = world
            .fetch_with(offline.clone(), revision)
            .expect_err("nothing is here");
        assert!(error.is_bad_input());
        let text = error.to_string();
        assert!(
            text.contains("HF_HUB_OFFLINE is set: unset it"),
            "got {text}"
        );
    }
    assert_eq!(world.server.take_requests(), Vec::<String>::new());
    world.fetch().expect("a download");
    world.server.take_requests();
    world.assert_whole(&world.fetch_with(offline, "main").expect("the cache"));
    assert_eq!(world.server.take_requests(), Vec::<String>::new());
}

#[test]
fn every_fault_gives_a_line_and_no_broken_entry_and_the_next_try_succeeds() {
    let store = format!("GET /store/{}", sha256(&large()));
    let resolve = "HEAD /o/n/resolve/".to_string();
    let api = "/api/models/o/n/revision".to_string();
    for (text, fault, bad_input, want) in [
        (
            &api,
            Fault::Status(401),
            true,
            "o/n: the Hub asks for a token (401)",
        ),
        (
            &api,
            Fault::Status(403),
            true,
            "o/n: the Hub refuses access (403)",
        ),
        (
            &api,
            Fault::Status(404),
            true,
            "o/n: no such revision (404)",
        ),
        (
            &api,
            Fault::Status(429),
            false,
            "o/n: too many requests (429), 3 times",
        ),
        (
            &api,
            Fault::Status(500),
            false,
            "o/n: the Hub failed (status 500), 3 times",
        ),
        (
            &resolve,
            Fault::Status(401),
            true,
            "o/n: config.json: the Hub asks for a token",
        ),
        (
            &resolve,
            Fault::Status(404),
            true,
            "o/n: config.json: not there (404)",
        ),
        (
            &store,
            Fault::Status(429),
            false,
            "weights.safetensors: too many requests (429)",
        ),
        (
            &store,
            Fault::Status(503),
            false,
            "weights.safetensors: the Hub failed (status 503)",
        ),
        (
            &store,
            Fault::Short(1),
            false,
            "199999 of 200000 bytes arrived",
        ),
        (
            &store,
            Fault::Flip,
            false,
            "weights.safetensors: its SHA-256 is not the promised",
        ),
    ] {
        let world = World::new();
        world.server.fault(text, fault.clone(), 100);
        let error = world.fetch().expect_err("a fault");
        let got = error.to_string();
        assert!(got.contains(want), "{fault:?}: got {got}, want {want}");
        assert_eq!(error.is_bad_input(), bad_input, "{got}");
        world.assert_no_broken_entry();
        world.server.no_faults();
        let fetched = world.fetch().unwrap_or_else(|e| panic!("{fault:?}: {e}"));
        world.assert_whole(&fetched);
    }
}

#[test]
fn faults_that_pass_are_waited_for() {
    let store = format!("GET /store/{}", sha256(&large()));
    for (text, fault) in [
        ("/tree/", Fault::Status(500)),
        ("/revision/", Fault::Status(429)),
        ("HEAD", Fault::Status(502)),
        (&store, Fault::Status(429)),
        (&store, Fault::Cut(100_000)),
    ] {
        let world = World::new();
        world.server.fault(text, fault.clone(), 2);
        let fetched = world.fetch().unwrap_or_else(|e| panic!("{fault:?}: {e}"));
        world.assert_whole(&fetched);
    }
}

#[test]
fn a_cut_download_goes_on_from_where_it_stood() {
    for no_range in [false, true] {
        let world = World::new();
        let store = format!("GET /store/{}", sha256(&large()));
        world.server.fault(&store, Fault::Cut(120_000), 1);
        let impatient = Settings {
            tries: 1,
            ..world.settings()
        };
        let error = world.fetch_with(impatient.clone(), "main");
        let got = error.expect_err("a cut").to_string();
        assert!(got.contains("the connection broke off"), "got {got}");
        assert!(
            got.contains("the same command goes on from there"),
            "got {got}"
        );
        world.assert_no_broken_entry();
        if no_range {
            world.server.fault(&store, Fault::NoRange, 100);
        }
        world.events();
        world.assert_whole(&world.fetch_with(impatient, "main").expect("the rest"));
        let first = format!("Progress {{ file: \"{LARGE}\", done: 120000,");
        let events = world.events();
        assert!(
            events.iter().any(|event| event.starts_with(&first)),
            "got {events:?}"
        );
    }
}

#[test]
fn what_another_program_left_is_not_believed() {
    let world = World::new();
    let blobs = world.repo_folder().join("blobs");
    fs::create_dir_all(&blobs).expect("a folder");
    // A page with an error in place of the file, and a part of something else.
    fs::write(blobs.join(git(b"{}")), "404: not found").expect("a file");
    let part = blobs.join(sha256(&large())).with_extension("incomplete");
    fs::write(&part, vec![9; 1000]).expect("a file");
    world.assert_whole(&world.fetch().expect("a download"));
    assert!(!part.exists());
}

#[test]
fn names_that_lead_out_of_the_cache_are_refused() {
    for name in ["../../evil", "/etc/evil", "a/../../evil", "a\\..\\evil"] {
        let world = World::new();
        world.server.add("models/o/n", name, b"evil");
        let got = world.error();
        assert!(
            got.contains("which is no path within a folder"),
            "got {got}"
        );
        assert!(!world.repo_folder().join("snapshots").exists());
    }
}

#[test]
fn a_repository_a_revision_and_a_token_are_told_apart() {
    let world = World::new();
    let hub = world.hub(world.settings());
    let other = Repo::new(RepoKind::Model, "o/other").expect("a name");
    let got = hub.fetch(&other, "main", &wanted).expect_err("nothing");
    let got = got.to_string();
    assert!(got.starts_with("o/other: no such repository"), "got {got}");
    let got = world
        .fetch_with(world.settings(), "v9")
        .expect_err("nothing");
    let got = got.to_string();
    assert!(got.starts_with("o/n@v9: no such revision"), "got {got}");
    world.server.require_token("hf_other");
    let got = world.error();
    assert!(got.contains("set HF_TOKEN"), "got {got}");
    world.server.require_token("hf_test");
    world.assert_whole(&world.fetch().expect("a download"));
}

#[test]
fn a_repository_without_what_is_wanted_says_what_is_missing() {
    let world = World::new();
    world.server.add("models/o/empty", "README.md", b"nothing");
    let repo = Repo::new(RepoKind::Model, "o/empty").expect("a name");
    let got = world
        .hub(world.settings())
        .fetch(&repo, "main", &wanted)
        .expect_err("nothing");
    assert_eq!(got.to_string(), "o/empty: no config.json there");
}

#[test]
fn an_address_with_no_server_or_no_hub_is_told() {
    let mut world = World::new();
    world.server.fault("/api", Fault::Short(5), 1);
    let got = world.error();
    assert!(got.contains("check HF_ENDPOINT"), "got {got}");
    world.server.stop();
    let got = world.error();
    assert!(got.contains("cannot be reached"), "got {got}");
    assert!(
        got.contains("check the network and HF_ENDPOINT"),
        "got {got}"
    );
    for endpoint in ["nonsense", "ftp://x", "http://"] {
        let settings = Settings {
            endpoint: endpoint.into(),
            ..world.settings()
        };
        let got = world.fetch_with(settings, "main").expect_err("no server");
        assert!(got.is_bad_input());
        let got = got.to_string();
        let want = "HF_ENDPOINT: must be http:// or https://";
        assert!(got.starts_with(want), "got {got}");
    }
}

#[test]
fn a_server_that_is_no_hub_is_told_from_one_that_fails() {
    for fault in [
        Fault::Status(418),
        Fault::Status(999),
        Fault::Status(302),
        Fault::Redirect("file:///etc/passwd"),
        Fault::Raw(b"SSH-2.0-OpenSSH_9.6\r\n"),
    ] {
        for path in ["/api", "HEAD", "/store/"] {
            let world = World::new();
            world.server.fault(path, fault.clone(), 100);
            let got = world.error();
            assert!(
                got.contains("the server is no Hub") && got.contains("check HF_ENDPOINT"),
                "{fault:?} at {path}: got {got}"
            );
        }
    }
}

#[test]
fn what_a_server_promises_is_bounded() {
    let world = World::new();
    world
        .server
        .fault("HEAD /o/n/resolve", Fault::Promise(5 << 20), 1);
    let got = world.error();
    assert!(
        got.contains("config.json: it has 5242880 bytes"),
        "got {got}"
    );
    world.server.fault(LARGE, Fault::Promise(1 << 60), 1);
    let got = world.error();
    assert!(
        got.contains("weights.safetensors: needs 1152921504606846976 bytes"),
        "got {got}"
    );
    assert!(got.contains("set HF_HOME"), "got {got}");
    world.assert_no_broken_entry();
}

#[test]
fn a_server_that_asks_to_wait_is_waited_for_and_told_of() {
    let world = World::new();
    world.server.fault("HEAD", Fault::Wait(1), 1);
    world.assert_whole(&world.fetch().expect("a download"));
    let events = world.events().join(" ");
    assert!(
        events.contains("o/n: config.json: asked to wait 1 s"),
        "got {events}"
    );
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let world = World::new();
    world.server.fault("/api", Fault::Silence, 100);
    let impatient = Settings {
        tries: 4,
        timeout: Duration::from_millis(1000),
        ..world.settings()
    };
    let error = world.fetch_with(impatient, "main").expect_err("silence");
    assert!(!error.is_bad_input());
    let got = error.to_string();
    assert!(
        got.contains("gave no answer (within 1 s), 2 times"),
        "got {got}"
    );
}

#[test]
fn a_cache_that_cannot_be_written_names_its_variables() {
    let world = World::new();
    let file = world.cache.path().join("file");
    fs::write(&file, "").expect("a file");
    let settings = Settings {
        cache: file.join("hub"),
        ..world.settings()
    };
    let got = world.fetch_with(settings, "main").expect_err("no folder");
    let got = got.to_string();
    assert!(got.contains("HF_HOME or HF_HUB_CACHE"), "got {got}");
}
