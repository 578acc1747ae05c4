//! What is kept, and what is read from there.

use std::fs;
use std::path::Path;

use pfgmpp_hub::Settings;

use crate::server::{COMMIT, git, sha256};
use crate::world::{LARGE, World, large};

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
