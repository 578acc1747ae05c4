//! The one place where YAML is read and written.
//!
//! Enums with fields are maps of one key (`log_normal: {p_mean: -1.2, ...}`), so that every key
//! has a dotted path. Errors name the file, the path and, where the text is at hand, the line.

mod path;
mod phrase;
mod text;
mod words;
mod write;

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_yaml::with::singleton_map_recursive;
use serde_yaml::{Mapping, Value};

use crate::error::ConfigError;
use crate::kind::{ConfigKind, Configuration};
use crate::run_config::RunConfig;

pub use write::{to_line, to_string};

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
    pub fn read<T: Configuration>(path: &Path) -> Result<(Self, T), ConfigError> {
        let origin = path.display().to_string();
        let text = text::read(path)?;
        let value = text::tree(&text, &origin)?;
        let typed = words::read(&value).map_err(|message| match ConfigKind::of(&value) {
            Some(found) if found != T::KIND => ConfigError::other_kind(&origin, found, T::KIND),
            // What is missing has no place.
            _ if message.contains(": is missing") => ConfigError::new(&origin, message),
            _ => ConfigError::new(&origin, message + &place::<T>(&text)),
        })?;
        let path = path.to_path_buf();
        Ok((Self { path, value }, typed))
    }

    /// Sets the value at the dotted path `key`, which must be there or be one that the file could have had in a section
    /// that it has: many keys of a run may be left out.
    ///
    /// # Errors
    ///
    /// A key that is not there and not known; `origin` names who asked for it.
    pub fn set(&mut self, key: &str, value: Value, origin: &str) -> Result<(), ConfigError> {
        let file = self.path.display().to_string();
        if let Some(longer) = self.with_new(key, &value) {
            self.value = longer;
            return Ok(());
        }
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

    /// The configuration of a run with a further key that it knows; `None` of any other document, of a key that is there
    /// and of one that is not known.
    fn with_new(&self, key: &str, value: &Value) -> Option<Value> {
        let path: Vec<String> = key.split('.').map(str::to_string).collect();
        let is_run = ConfigKind::of(&self.value) == Some(ConfigKind::Run);
        if !is_run || path::at(&self.value, &path).is_some() {
            return None;
        }
        let mut longer = self.value.clone();
        let is_put = path::put(&mut longer, &path, value.clone());
        let refused = match words::read::<RunConfig>(&longer) {
            Ok(_) => false,
            // What is wrong with a value within a section is said when the whole is read; a section that does not go
            // with the others is none of this document.
            Err(message) => path.len() == 1 || message.contains("no key"),
        };
        (is_put && !refused).then_some(longer)
    }

    /// Reads the tree as a `T`; `origin` names it in errors.
    ///
    /// # Errors
    ///
    /// An unknown key or a value of the wrong kind, with its dotted path.
    pub fn to<T: DeserializeOwned>(&self, origin: &str) -> Result<T, ConfigError> {
        from_value(&self.value, origin)
    }
}

/// Where in `text` reading a `T` stops: ` (line 3)`, empty where it is not known.
fn place<T: DeserializeOwned>(text: &str) -> String {
    let read = singleton_map_recursive::deserialize(serde_yaml::Deserializer::from_str(text));
    let error: Option<serde_yaml::Error> = read.map(|_: T| ()).err();
    let place = error.and_then(|error| error.location());
    // The beginning of the file is where a reader stands that has not kept its place.
    let place = place.filter(|at| at.index() > 0);
    place.map_or(String::new(), |at| format!(" (line {})", at.line()))
}

/// Reads a value as a `T`; `origin` names it in errors.
///
/// # Errors
///
/// An unknown key or a value of the wrong kind, with its dotted path.
pub fn from_value<T: DeserializeOwned>(value: &Value, origin: &str) -> Result<T, ConfigError> {
    words::read(value).map_err(|message| ConfigError::new(origin, message))
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
    let show = |value: &Value| to_line(value);
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
    let (key, value) = text
        .split_once('=')
        .filter(|(key, _)| !key.is_empty())
        .ok_or_else(|| {
            ConfigError::new(
                phrase::cut(text),
                "must be KEY=VALUE, such as training.nimg=10000",
            )
        })?;
    Ok((key.to_string(), text::tree(value, &phrase::cut(text))?))
}

/// A value that is set over that of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    /// Who set it, for errors.
    pub origin: String,
    /// The dotted key.
    pub key: String,
    /// The value.
    pub value: Value,
}

impl Override {
    /// Reads `KEY=VALUE`; `origin` names who set it in errors.
    ///
    /// # Errors
    ///
    /// As [`parse_assignment`].
    pub fn parse(text: &str, origin: String) -> Result<Self, ConfigError> {
        match parse_assignment(text) {
            Ok((key, value)) => Ok(Self { origin, key, value }),
            Err(error) => Err(ConfigError::new(origin, error.message)),
        }
    }
}

/// Reads a flag's value, `text`, as a `T`; `origin` names the flag.
///
/// # Errors
///
/// A text that is no YAML or no `T`.
pub fn parse_value<T: DeserializeOwned>(text: &str, origin: &str) -> Result<T, ConfigError> {
    from_value(&text::tree(text, origin)?, origin)
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

#[cfg(test)]
mod tests;
