//! The one place where YAML is read and written.
//!
//! Enums with fields are maps of one key (`log_normal: {p_mean: -1.2, ...}`), so that every key
//! has a dotted path. Errors name the file, the path and, where the text is at hand, the line.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_yaml::with::singleton_map_recursive;
use serde_yaml::{Mapping, Value};

use crate::error::ConfigError;

/// A YAML document as a tree of values that overrides can still change.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The file it was read from.
    pub path: PathBuf,
    value: Value,
}

impl Document {
    /// Reads a file and checks that it holds a `T`, with the line in the error if it does not.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, a syntax error, an unknown key, a value of the wrong kind.
    pub fn read<T: DeserializeOwned>(path: &Path) -> Result<(Self, T), ConfigError> {
        // A device or a pipe could go on for ever.
        if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            return Err(ConfigError::new(path.display(), "is not a file"));
        }
        let text =
            fs::read_to_string(path).map_err(|e| ConfigError::new(path.display(), plain_io(&e)))?;
        let typed = parse(&text, path)?;
        let value = serde_yaml::from_str(&text)
            .map_err(|e| ConfigError::new(path.display(), yaml_message(&e)))?;
        let path = path.to_path_buf();
        Ok((Self { path, value }, typed))
    }

    /// Sets the value at the dotted path `key`, which must exist.
    ///
    /// # Errors
    ///
    /// A key that is not there; `origin` names who asked for it.
    pub fn set(&mut self, key: &str, value: Value, origin: &str) -> Result<(), ConfigError> {
        let file = self.path.display().to_string();
        let mut node = &mut self.value;
        for (depth, part) in key.split('.').enumerate() {
            let keys = keys_of(node);
            node = node
                .as_mapping_mut()
                .and_then(|map| map.get_mut(part))
                .ok_or_else(|| {
                    let parent: Vec<&str> = key.split('.').take(depth).collect();
                    ConfigError::new(origin, no_key(part, &parent.join("."), &file, &keys))
                })?;
        }
        *node = value;
        Ok(())
    }

    /// Reads the tree as a `T`; `origin` names it in errors.
    ///
    /// # Errors
    ///
    /// An unknown key or a value of the wrong kind, with its dotted path.
    pub fn to<T: DeserializeOwned>(&self, origin: &str) -> Result<T, ConfigError> {
        let mut track = serde_path_to_error::Track::new();
        let tracked = serde_path_to_error::Deserializer::new(self.value.clone(), &mut track);
        singleton_map_recursive::deserialize(tracked).map_err(|e: serde_yaml::Error| {
            let path = track.path().to_string();
            let message = yaml_message(&e);
            ConfigError::new(
                origin,
                if path == "." {
                    message
                } else {
                    format!("{path}: {message}")
                },
            )
        })
    }
}

/// Reads `text`, the contents of `path`, as a `T`.
fn parse<T: DeserializeOwned>(text: &str, path: &Path) -> Result<T, ConfigError> {
    let deserializer = serde_yaml::Deserializer::from_str(text);
    singleton_map_recursive::deserialize(deserializer)
        .map_err(|e: serde_yaml::Error| ConfigError::new(path.display(), yaml_message(&e)))
}

/// Writes `value` as YAML.
///
/// # Errors
///
/// A value that YAML cannot hold, which no configuration is.
pub fn to_string<T: Serialize>(value: &T) -> Result<String, ConfigError> {
    let mut text = Vec::new();
    let mut serializer = serde_yaml::Serializer::new(&mut text);
    singleton_map_recursive::serialize(value, &mut serializer)
        .map_err(|e| ConfigError::new("configuration", e))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The first place where two YAML texts differ, as `path: A there, B asked for`.
pub fn first_difference(here: &str, there: &str) -> Option<String> {
    let read = |text| serde_yaml::from_str::<Value>(text).ok();
    match (read(here), read(there)) {
        (Some(here @ Value::Mapping(_)), Some(there)) => difference("", &here, &there),
        _ => Some("config.yaml there cannot be read".to_string()),
    }
}

fn difference(path: &str, here: &Value, there: &Value) -> Option<String> {
    if here == there {
        return None;
    }
    if let (Value::Mapping(a), Value::Mapping(b)) = (here, there) {
        let keys = a.keys().chain(b.keys()).filter_map(Value::as_str);
        let below = keys.filter_map(|key| {
            let dot = if path.is_empty() { "" } else { "." };
            let [a, b] = [a, b].map(|map| map.get(key).unwrap_or(&Value::Null));
            difference(&format!("{path}{dot}{key}"), a, b)
        });
        return below.into_iter().next();
    }
    let show = |value: &Value| {
        let text = serde_yaml::to_string(value).unwrap_or_default();
        text.trim().replace('\n', " ")
    };
    Some(format!(
        "{path}: {} there, {} asked for",
        show(here),
        show(there)
    ))
}

/// Splits `KEY=VALUE` and reads the value as YAML.
///
/// # Errors
///
/// No `=`, an empty key, or a value that is no YAML.
pub fn parse_assignment(text: &str) -> Result<(String, Value), ConfigError> {
    let origin = format!("--set {text}");
    let (key, value) = text
        .split_once('=')
        .filter(|(key, _)| !key.is_empty())
        .ok_or_else(|| {
            ConfigError::new(&origin, "must be KEY=VALUE, such as training.nimg=10000")
        })?;
    let value =
        serde_yaml::from_str(value).map_err(|e| ConfigError::new(&origin, yaml_message(&e)))?;
    Ok((key.to_string(), value))
}

/// Reads a flag's value, `text`, as a `T`; `origin` names the flag.
///
/// # Errors
///
/// A text that is no YAML or no `T`.
pub fn parse_value<T: DeserializeOwned>(text: &str, origin: &str) -> Result<T, ConfigError> {
    singleton_map_recursive::deserialize(serde_yaml::Deserializer::from_str(text))
        .map_err(|e: serde_yaml::Error| ConfigError::new(origin, yaml_message(&e)))
}

fn keys_of(node: &Value) -> Vec<String> {
    let keys = |map: &Mapping| {
        map.keys()
            .filter_map(|key| key.as_str().map(str::to_string))
            .collect()
    };
    node.as_mapping().map(keys).unwrap_or_default()
}

fn no_key(part: &str, parent: &str, file: &str, keys: &[String]) -> String {
    let place = match parent {
        "" => file.to_string(),
        parent => format!("`{parent}` of {file}"),
    };
    match keys {
        [] => format!("no key `{part}`: {place} is a plain value"),
        keys => format!(
            "no key `{part}` in {place}: accepted are {}",
            keys.join(", ")
        ),
    }
}

/// One line, without the parser's own notes on recursion.
fn yaml_message(error: &serde_yaml::Error) -> String {
    error.to_string().replace('\n', " ")
}

/// The file system's words without the error number.
fn plain_io(error: &std::io::Error) -> String {
    let text = error.to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    text[..end].to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pfgmpp_train::count;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, Serialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Config {
        #[serde(deserialize_with = "count")]
        nimg: u64,
        law: Law,
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
}
