//! Reading, writing and overriding.

use super::*;
use crate::kind::ConfigKind;
use pfgmpp_train::count;
use serde::{Deserialize, Serialize};
use std::fs;

#[derive(Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(deserialize_with = "count")]
    nimg: u64,
    law: Law,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first: Option<Law>,
}

impl Configuration for Config {
    const KIND: ConfigKind = ConfigKind::Run;
}

#[derive(Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Law {
    LogNormal(LogNormal),
    Plain,
}

#[derive(Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct LogNormal {
    p_mean: f64,
}

fn read(text: &str) -> Result<(Document, Config), ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.yaml");
    fs::write(&path, text).unwrap();
    let strip = |mut e: ConfigError| {
        e.origin = "c.yaml".into();
        e
    };
    Document::read(&path).map_err(strip)
}

const GOOD: &str = "nimg: 2e5\nlaw:\n  log_normal:\n    p_mean: -1.2\n";

#[test]
fn a_written_configuration_reads_back_the_same() {
    let (_, config) = read(GOOD).unwrap();
    assert_eq!(config.nimg, 200_000);
    let (_, again) = read(&to_string(&config).unwrap()).unwrap();
    assert_eq!(config, again);
}

#[test]
fn counts_may_be_written_with_underscores_and_exponents() {
    for (text, want) in [("200_000", 200_000), ("1e3", 1000), ("7", 7)] {
        let (_, config) = read(&GOOD.replace("2e5", text)).unwrap();
        assert_eq!(config.nimg, want, "{text}");
    }
    for text in ["-1", "1.5", "_1", "many", ".inf", ".nan"] {
        let error = read(&GOOD.replace("2e5", text)).unwrap_err();
        assert!(
            error.message.contains("a whole number"),
            "{text}: got {error}"
        );
    }
}

#[test]
fn errors_name_the_place() {
    for (text, want) in [
        (
            "nimg: 1\nlaw:\n  log_normal:\n    p_mena: 1\n",
            ["p_mena", "line 4"],
        ),
        ("nimg: x\nlaw: plain\n", ["\"x\"", "line 1"]),
        ("nimg: 1\nlaw: [\n", ["line", "column"]),
        ("nimg: 1\nlaw: fancy\n", ["fancy", "plain"]),
    ] {
        let got = read(text).unwrap_err().to_string();
        for part in want {
            assert!(got.contains(part), "got `{got}`, want `{part}` in it");
        }
    }
}

#[test]
fn overrides_change_keys_that_are_known_only() {
    let (mut document, _) = read(GOOD).unwrap();
    let (key, value) = parse_assignment("law.log_normal.p_mean=0.5").unwrap();
    document.set::<Config>(&key, value, "--set").unwrap();
    let config: Config = document.to("here").unwrap();
    assert_eq!(config.law, Law::LogNormal(LogNormal { p_mean: 0.5 }));

    let error = document
        .set::<Config>("law.log_normal.p", Value::Null, "--set p")
        .unwrap_err();
    assert!(error.message.contains("accepted are p_mean"), "got {error}");
    let error = document
        .set::<Config>("nimg.p", Value::Null, "--set nimg.p")
        .unwrap_err();
    assert!(error.message.contains("is a plain value"), "got {error}");
    let (key, value) = parse_assignment("law.log_normal.p_mean=high").unwrap();
    document.set::<Config>(&key, value, "--set").unwrap();
    let error = document.to::<Config>("here").unwrap_err();
    assert!(
        error.message.contains("law.log_normal.p_mean"),
        "got {error}"
    );
}

#[test]
fn a_key_that_may_be_absent_is_set_with_the_sections_on_its_way() {
    let set = |assignment: &str| {
        let (mut document, _) = read(GOOD).unwrap();
        let (key, value) = parse_assignment(assignment).unwrap();
        document.set::<Config>(&key, value, "--set")?;
        document.to::<Config>("here")
    };
    let config = set("first.log_normal.p_mean=0.5").unwrap();
    assert_eq!(
        config.first,
        Some(Law::LogNormal(LogNormal { p_mean: 0.5 }))
    );
    assert_eq!(set("first=plain").unwrap().first, Some(Law::Plain));
    for (assignment, want) in [
        ("last=plain", "no key `last`: accepted are nimg, law, first"),
        ("first=fancy", "first: must be"),
        (
            "first.log_normal.p_mena=1",
            "no key `p_mena`: accepted are p_mean",
        ),
        ("law.plain=1", "law: must be"),
    ] {
        let error = set(assignment).unwrap_err();
        assert!(
            error.message.contains(want),
            "{assignment}: got {error}, want {want}"
        );
    }
}

#[test]
fn a_choice_without_its_settings_is_told_what_they_are() {
    let error = read("nimg: 1\nlaw: log_normal\n").unwrap_err().to_string();
    let want =
        "law: must have its settings, as in `log_normal: {p_mean: ...}`, got log_normal alone";
    assert!(error.contains(want), "got {error}, want {want}");
}
