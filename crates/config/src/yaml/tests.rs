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
fn overrides_change_existing_keys_only() {
    let (mut document, _) = read(GOOD).unwrap();
    let (key, value) = parse_assignment("law.log_normal.p_mean=0.5").unwrap();
    document.set(&key, value, "--set").unwrap();
    let config: Config = document.to("here").unwrap();
    assert_eq!(config.law, Law::LogNormal(LogNormal { p_mean: 0.5 }));

    let error = document
        .set("law.log_normal.p", Value::Null, "--set p")
        .unwrap_err();
    assert!(error.message.contains("accepted are p_mean"), "got {error}");
    let (key, value) = parse_assignment("law.log_normal.p_mean=high").unwrap();
    document.set(&key, value, "--set").unwrap();
    let error = document.to::<Config>("here").unwrap_err();
    assert!(
        error.message.contains("law.log_normal.p_mean"),
        "got {error}"
    );
}
