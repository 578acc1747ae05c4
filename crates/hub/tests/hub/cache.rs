//! What is kept, and what is read from there.

use std::fs;
use std::path::Path;

use pfgmpp_hub::Settings;

use crate::server::routes::git;
use crate::server::{COMMIT, Fault, sha256};
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
            text.contains("HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set: unset it"),
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

/// Changes one bit of a file of the cache, and its time.
fn damage(path: &Path) {
    let path = fs::canonicalize(path).expect("a file");
    let mut bytes = fs::read(&path).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 16;
    fs::write(&path, bytes).expect("a file");
    let file = fs::File::options().write(true).open(&path).expect("a file");
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    file.set_modified(later).expect("a time");
}

#[test]
fn a_damaged_file_is_fetched_anew_or_named() {
    for name in [LARGE, "config.json"] {
        let mut world = World::new();
        let path = world.fetch().expect("a download").folder.join(name);
        for revision in ["main", COMMIT] {
            damage(&path);
            world.events();
            let healed = world.fetch_with(world.settings(), revision);
            world.assert_whole(&healed.expect("a download"));
            let events = world.events().join(" ");
            assert!(events.contains("damaged"), "got {events}");
        }
        damage(&path);
        let offline = Settings {
            offline: true,
            ..world.settings()
        };
        for settings in [offline, world.settings()] {
            world.server.stop();
            let error = world.fetch_with(settings, "main").expect_err("damaged");
            let got = error.to_string();
            assert!(
                got.contains("blobs/") && got.contains("damaged, its "),
                "got {got}"
            );
            assert!(got.contains("delete it"), "got {got}");
        }
    }
}

#[test]
fn a_file_is_read_for_its_checksum_once_for_each_size_and_time() {
    let world = World::new();
    let path = world.fetch().expect("a download").folder.join(LARGE);
    world.fetch().expect("the cache");
    let blob = fs::canonicalize(path).expect("a file");
    let time = fs::metadata(&blob).and_then(|found| found.modified());
    let mut bytes = fs::read(&blob).expect("a file");
    bytes[0] ^= 1;
    fs::write(&blob, bytes).expect("a file");
    let file = fs::File::options().write(true).open(&blob).expect("a file");
    file.set_modified(time.expect("a time")).expect("a time");
    world.events();
    world.fetch().expect("the cache");
    let events = world.events();
    assert_eq!(events, Vec::<String>::new(), "it was read again");
}

#[test]
fn what_was_fetched_serves_while_the_hub_fails() {
    for (fault, want) in [
        (Fault::Status(429), "the Hub refuses more requests (429)"),
        (Fault::Wait(20), "the Hub refuses more requests (429)"),
        (Fault::Status(500), "the Hub failed (status 500)"),
        (Fault::Status(503), "the Hub failed (status 503)"),
        (
            Fault::Raw(b"HTTP/1.1 200 OK\r\n\r\n<html>log in</html>"),
            "the server is no Hub",
        ),
    ] {
        let world = World::new();
        let first = world.fetch().expect("a download");
        world.server.fault("/revision/", fault.clone(), 9);
        world.events();
        let begun = std::time::Instant::now();
        let again = world.fetch().unwrap_or_else(|e| panic!("{fault:?}: {e}"));
        assert_eq!(again, first);
        let events = world.events().join(" ");
        let said = events.contains(want) && events.contains("o/n as it was when it was fetched");
        assert!(said, "{fault:?}: got {events}, want {want}");
        assert!(
            begun.elapsed().as_secs() < 5,
            "it waited {:?}",
            begun.elapsed()
        );
    }
}

#[test]
fn what_the_hub_refuses_is_not_taken_from_the_cache() {
    for status in [401, 403, 404] {
        let world = World::new();
        world.fetch().expect("a download");
        world.server.fault("/revision/", Fault::Status(status), 9);
        let got = world.error();
        assert!(got.contains(&format!("({status})")), "got {got}");
    }
}

#[test]
fn a_cache_that_cannot_be_written_is_read() {
    let world = World::new();
    let first = world.fetch().expect("a download");
    // As if the branch had moved on and the note of it could not be written, root or not.
    let reference = world.repo_folder().join("refs/main");
    let old = "f".repeat(40);
    fs::write(&reference, &old).expect("a file");
    let folder = world.repo_folder().join("refs");
    fs::rename(&folder, folder.with_extension("old")).expect("a folder");
    fs::write(&folder, "in the way").expect("a file");
    world.events();
    let again = world.fetch().expect("the cache");
    assert_eq!(again, first);
    let events = world.events().join(" ");
    assert!(events.contains("what is there is used"), "got {events}");
}

#[test]
fn a_newer_commit_that_cannot_be_stored_leaves_the_one_that_is_here() {
    let world = World::new();
    let first = world.fetch().expect("a download");
    let older = "a".repeat(40);
    let snapshots = world.repo_folder().join("snapshots");
    fs::rename(snapshots.join(COMMIT), snapshots.join(&older)).expect("a folder");
    fs::write(world.repo_folder().join("refs/main"), &older).expect("a file");
    // Where the new commit's folder should be lies a file.
    fs::write(snapshots.join(COMMIT), "in the way").expect("a file");
    world.events();
    let again = world.fetch().expect("the cache");
    assert_eq!(again.commit, older, "not {}", first.commit);
    let events = world.events().join(" ");
    assert!(
        events.contains("as it was when it was fetched"),
        "got {events}"
    );
}
