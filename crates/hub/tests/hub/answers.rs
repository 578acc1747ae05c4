//! Repositories, revisions, tokens and addresses that are not what was asked for.

use pfgmpp_hub::{Repo, RepoKind, Settings};

use crate::server::{Fault, Server};
use crate::world::{LARGE, World, large, wanted};

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
fn a_refusal_says_why_and_what_to_do() {
    for (status, reason, token, want) in [
        (
            401,
            "GatedRepo",
            None,
            "accept them on the repository's page",
        ),
        (
            401,
            "RepoNotFound",
            None,
            "no such repository, or a private one (401)",
        ),
        (401, "Other", Some("hf_a"), "does not accept the one given"),
        (401, "Other", None, "the Hub asks for a token (401)"),
        (
            403,
            "GatedRepo",
            Some("hf_a"),
            "has not given access to the account",
        ),
        (403, "Other", Some("hf_a"), "the Hub refuses access (403)"),
    ] {
        let world = World::new();
        world
            .server
            .fault("/revision/", Fault::Reason(status, reason), 9);
        let settings = Settings {
            token: token.map(Into::into),
            ..world.settings()
        };
        let got = world.fetch_with(settings, "main").expect_err("a refusal");
        assert!(got.is_bad_input());
        let got = got.to_string();
        assert!(
            got.contains(want),
            "{status} {reason}: got {got}, want {want}"
        );
        assert!(got.contains("set HF_TOKEN"), "got {got}");
    }
}

#[test]
fn names_that_an_address_cannot_hold_as_they_are_reach_the_server() {
    let name = "a b/100% #1é.bin";
    let world = World::new();
    world.server.add("models/o/n", name, b"odd");
    let hub = world.hub(world.settings());
    let repo = Repo::new(RepoKind::Model, "o/n").expect("a name");
    let only = |names: &[String]| match names.contains(&name.to_string()) {
        true => Ok(vec![name.to_string()]),
        false => Err("nothing".into()),
    };
    let got = hub.fetch(&repo, "main", &only);
    let folder = got.expect("a download").folder;
    assert_eq!(std::fs::read(folder.join(name)).expect("a file"), b"odd");
    let requests = world.server.take_requests();
    let want = "a%20b/100%25%20%231%C3%A9.bin";
    assert!(
        requests.iter().any(|r| r.ends_with(want)),
        "got {requests:?}"
    );
}

#[test]
fn a_token_goes_to_the_hubs_own_server_alone() {
    let world = World::new();
    // Large files lie at another server; the same files, and every request is recorded there.
    let store = Server::start();
    store.add("models/o/n", LARGE, &large());
    world.server.store_at(&store.endpoint());
    world.assert_whole(&world.fetch().expect("a download"));
    let token = |(_, token): (String, Option<String>)| token;
    let here: Vec<_> = world.server.take_asked().into_iter().map(token).collect();
    assert!(
        here.iter().all(|token| token.as_deref() == Some("hf_test")),
        "got {here:?}"
    );
    let there: Vec<_> = store.take_asked().into_iter().map(token).collect();
    assert_eq!(there, [None], "got {there:?}");
}

#[test]
fn a_repository_that_moved_is_found_at_its_new_name() {
    let world = World::new();
    world.server.require_token("hf_test");
    world.server.moved("o/old", "o/n");
    let repo = Repo::new(RepoKind::Model, "o/old").expect("a name");
    let fetched = world.hub(world.settings()).fetch(&repo, "main", &wanted);
    world.assert_whole(&fetched.expect("a download"));
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
