//! Repositories, revisions, tokens and addresses that are not what was asked for.

use pfgmpp_hub::{Repo, RepoKind, Settings};

use crate::server::Fault;
use crate::world::{World, wanted};

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
