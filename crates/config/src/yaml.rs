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

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_yaml::with::singleton_map_recursive;
use serde_yaml::{Mapping, Value};

use crate::error::ConfigError;
use crate::kind::{ConfigKind, Configuration};

pub use write::{leaves, shown, to_line, to_string};

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
        let (document, typed) = Self::attempt(path)?;
        Ok((document, typed?))
    }

    /// As [`Self::read`], of a file in which something may be missing that is still to be set, or that what is set makes needless:
    /// it is said when all of it is read ([`Self::to`]).
    ///
    /// # Errors
    ///
    /// As for [`Self::read`], but for what is missing.
    pub fn open<T: Configuration>(path: &Path) -> Result<Self, ConfigError> {
        let (document, typed) = Self::attempt::<T>(path)?;
        match typed {
            Err(error) if error.other_kind.is_some() || !is_missing(&error.message) => Err(error),
            _ => Ok(document),
        }
    }

    fn attempt<T: Configuration>(
        path: &Path,
    ) -> Result<(Self, Result<T, ConfigError>), ConfigError> {
        let origin = path.display().to_string();
        let text = text::read(path)?;
        let value = text::tree(&text, &origin)?;
        let typed = words::read(&value).map_err(|message| match ConfigKind::of(&value) {
            Some(found) if found != T::KIND => ConfigError::other_kind(&origin, found, T::KIND),
            // What is missing has no place.
            _ if is_missing(&message) => ConfigError::new(&origin, message),
            _ => ConfigError::new(&origin, message + &place::<T>(&text)),
        });
        let path = path.to_path_buf();
        Ok((Self { path, value }, typed))
    }

    /// The document that `value` is written as; `origin` stands for its file.
    ///
    /// # Errors
    ///
    /// A value that YAML does not have.
    pub fn of<T: Serialize>(value: &T, origin: &str) -> Result<Self, ConfigError> {
        let text = to_string(value)?;
        Ok(Self {
            path: origin.into(),
            value: text::tree(&text, origin)?,
        })
    }

    /// Sets the value at the dotted path `key`, which must be one that a `T` has: it need not be there yet.
    ///
    /// # Errors
    ///
    /// A key that a `T` does not have, or not beside the others that are there; `origin` names who asked for it.
    pub fn set<T: DeserializeOwned>(
        &mut self,
        key: &str,
        value: Value,
        origin: &str,
    ) -> Result<(), ConfigError> {
        let parts: Vec<String> = key.split('.').map(str::to_string).collect();
        let depth = (0..=parts.len()).rev();
        let there = depth.map(|depth| &parts[..depth]);
        let there = there
            .into_iter()
            .find(|p| path::at(&self.value, p).is_some());
        let there = there.map_or(0, <[String]>::len);
        let mut changed = self.value.clone();
        if there == parts.len() {
            path::put(&mut changed, &parts, value);
            self.value = changed;
            return Ok(());
        }
        let parent = path::at(&self.value, &parts[..there]);
        if !parent.is_some_and(Value::is_mapping) {
            let parent = parts[..there].join(".");
            let file = self.path.display().to_string();
            return Err(ConfigError::new(
                origin,
                no_key(&parts[there], &parent, &file),
            ));
        }
        // Sections on the way to it come with it.
        let below = parts[there + 1..].iter().rev();
        let value = below.fold(value, |inner, part| {
            Value::Mapping(Mapping::from_iter([(part.as_str().into(), inner)]))
        });
        path::put(&mut changed, &parts[..=there], value);
        if let Err(message) = words::read::<T>(&changed)
            // What was wrong before is said when all of it is read.
            && words::read::<T>(&self.value).err().as_ref() != Some(&message)
        {
            let is_section = there + 1 < parts.len();
            let message = match is_section && is_missing(&message) {
                true => format!(
                    "no key `{}` in {}, and one of its keys alone is not enough: {message}",
                    parts[there],
                    self.path.display()
                ),
                false => message,
            };
            return Err(ConfigError::new(origin, message));
        }
        self.value = changed;
        Ok(())
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

fn is_missing(message: &str) -> bool {
    message.contains(": is missing")
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
        _ => Some("config.yaml there cannot be read, so it is damaged".to_string()),
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

fn no_key(part: &str, parent: &str, file: &str) -> String {
    let place = match parent {
        "" => file.to_string(),
        parent => format!("`{parent}` of {file}"),
    };
    format!("no key `{part}`: {place} is a plain value")
}

#[cfg(test)]
mod tests;
