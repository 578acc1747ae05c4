//! Servers and connections that fail.

use std::time::Duration;

use pfgmpp_hub::Settings;

use crate::server::{Fault, sha256};
use crate::world::{LARGE, SMALL, World, large};

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
fn an_answer_without_end_is_given_up() {
    for (path, fault, want) in [
        ("/tree/", Fault::Endless, "more than 33554432 bytes"),
        ("/revision/", Fault::Endless, "more than 33554432 bytes"),
        ("/tree/", Fault::Pages, "or 1000 pages"),
    ] {
        let world = World::new();
        world.server.fault(path, fault.clone(), 2000);
        let got = world.error();
        assert!(got.contains(want), "{fault:?}: got {got}, want {want}");
        let made = world.server.take_requests().len();
        assert!(made <= 1001, "{fault:?}: {made} requests");
    }
}

#[test]
fn bytes_that_trickle_are_as_good_as_none() {
    for (path, want) in [
        ("/revision/", "gave no answer"),
        ("/tree/", "gave no answer"),
        (
            "GET /o/n/resolve/",
            "less than 512 bytes per second arrived",
        ),
    ] {
        let world = World::new();
        world.server.add("models/o/n", SMALL, &[b' '; 600]);
        world.server.fault(path, Fault::Trickle(20), 100);
        let impatient = Settings {
            tries: 1,
            timeout: Duration::from_millis(300),
            ..world.settings()
        };
        let begun = std::time::Instant::now();
        let got = world.fetch_with(impatient, "main").expect_err("a trickle");
        let got = got.to_string();
        assert!(got.contains(want), "{path}: got {got}, want {want}");
        assert!(
            begun.elapsed() < Duration::from_secs(6),
            "{:?}",
            begun.elapsed()
        );
    }
}
