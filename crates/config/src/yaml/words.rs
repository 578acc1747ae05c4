//! What a reader of YAML says, in the words of whoever wrote the document.
//!
//! serde tells of types of this program ("expected struct variant", "expected f64"). A message here is
//! `key: must be WHAT IS ACCEPTED, got VALUE`; the keys and choices that are accepted are found by asking the reader
//! with one that is not.

use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};
use serde_yaml::with::singleton_map_recursive;
use serde_yaml::{Mapping, Value};

use super::path::{at, dotted, put};
use super::phrase::{choices, cut, cut_long, got_words, in_ticks, one_of, plain};

/// A key, and a text, that no reader accepts.
const PROBE: &str = "?";

/// What is wrong with a document, and where.
struct Complaint {
    /// The keys that lead there.
    path: Vec<String>,
    message: String,
}

/// Reads `value` as a `T`; the error is one line that begins with the dotted key.
pub(super) fn read<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    attempt(value).map_err(|complaint| say::<T>(value, complaint))
}

fn attempt<T: DeserializeOwned>(value: &Value) -> Result<T, Complaint> {
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(value, &mut track);
    singleton_map_recursive::deserialize(tracked).map_err(|e: serde_yaml::Error| Complaint {
        path: keys_of(&track.path()),
        message: e.to_string(),
    })
}

fn keys_of(path: &Path) -> Vec<String> {
    let keys = path.iter().filter_map(|segment| match segment {
        Segment::Map { key } => Some(key.clone()),
        Segment::Enum { variant } => Some(variant.clone()),
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Unknown => None,
    });
    keys.collect()
}

fn say<T: DeserializeOwned>(value: &Value, complaint: Complaint) -> String {
    let Complaint { mut path, message } = complaint;
    if let Some(key) = in_ticks(&message, "missing field ") {
        path.push(key.to_string());
        let accepted = accepted::<T>(value, &path);
        return format!("{}: is missing: must be {accepted}", dotted(&path));
    }
    if let Some(key) = in_ticks(&message, "unknown field ") {
        if path.last().is_some_and(|last| last == key) {
            path.pop();
        }
        let parent = match path.is_empty() {
            true => String::new(),
            false => format!("{}: ", dotted(&path)),
        };
        let key = cut(key);
        return match choices(&message).as_slice() {
            [] => format!("{parent}no key `{key}`: accepted are none"),
            keys => format!("{parent}no key `{key}`: accepted are {}", keys.join(", ")),
        };
    }
    if let Some(key) = in_ticks(&message, "duplicate field ") {
        path.push(key.to_string());
        return format!("{}: stands there twice: must be once", dotted(&path));
    }
    let words = in_words::<T>(value, &path, &message);
    let words = below(value, &mut path, &words);
    match path.is_empty() {
        true => words,
        false if words.starts_with('.') => format!("{}{words}", dotted(&path)),
        false => format!("{}: {words}", dotted(&path)),
    }
}

/// Takes the key that a message begins with to those of its path; the rest of the message.
fn below(value: &Value, path: &mut Vec<String>, message: &str) -> String {
    let end = message.find([':', ' ', '.']).unwrap_or(message.len());
    let (key, rest) = message.split_at(end);
    let of_section = at(value, path).is_some_and(|value| value.get(key).is_some());
    if path.last().is_some_and(|last| last == key) {
        // It stands there already.
    } else if of_section {
        path.push(key.to_string());
    } else {
        return message.to_string();
    }
    rest.trim_start_matches([':', ' ']).to_string()
}

/// A message about a value, without its key.
fn in_words<T: DeserializeOwned>(value: &Value, path: &[String], message: &str) -> String {
    if let Some(got) = in_ticks(message, "unknown variant ") {
        return format!("must be {}, got {}", one_of(&choices(message)), cut(got));
    }
    if message.starts_with("invalid type: unit variant, expected")
        && let Some(Value::String(choice)) = at(value, path)
    {
        return alone::<T>(value, path, choice);
    }
    // Of a section of which one key is chosen, several are there.
    let is_many = message.ends_with("expected fewer elements in map");
    for kind in ["invalid type: ", "invalid value: ", "invalid length "] {
        let split = message
            .strip_prefix(kind)
            .and_then(|m| m.rsplit_once(", expected "))
            .filter(|_| !is_many);
        if let Some((got, expected)) = split {
            let accepted = plain(expected).unwrap_or_else(|| accepted::<T>(value, path));
            if let Some(Value::Mapping(map)) = at(value, path)
                && map.len() > 1
                && is_choice(map, &accepted)
            {
                return format!("must be {accepted}, got {}", several(map));
            }
            return format!("must be {accepted}, got {}", got_words(got));
        }
    }
    // A choice of one key, of which serde says how it is told apart.
    if message.contains("single key")
        || message.contains("single entry")
        || message.contains("variant")
        || is_many
    {
        let got = at(value, path).map_or_else(
            || "nothing".to_string(),
            |value| match value {
                Value::Mapping(map) if map.len() > 1 => several(map),
                Value::Mapping(_) => "no key".to_string(),
                Value::Sequence(_) => "a list".to_string(),
                _ => "a plain value".to_string(),
            },
        );
        return format!("must be {}, got {got}", accepted::<T>(value, path));
    }
    cut_long(message)
}

/// Whether what is accepted is one of some keys, and `map` has such.
fn is_choice(map: &Mapping, accepted: &str) -> bool {
    let words: Vec<&str> = accepted.split([',', ' ']).collect();
    map.keys()
        .filter_map(Value::as_str)
        .any(|key| words.contains(&key))
}

/// The keys of a section of which there may be one.
fn several(map: &Mapping) -> String {
    let keys: Vec<&str> = map.keys().filter_map(Value::as_str).collect();
    format!("several keys ({}): keep one", cut(&keys.join(", ")))
}

/// A message about a choice that has settings and stands there without them.
fn alone<T: DeserializeOwned>(value: &Value, path: &[String], choice: &str) -> String {
    let map = |key: &str, value| Value::Mapping(Mapping::from_iter([(key.into(), value)]));
    let mut asked = value.clone();
    put(&mut asked, path, map(choice, map(PROBE, Value::Null)));
    let settings = match attempt::<T>(&asked) {
        Err(complaint) if complaint.message.starts_with("unknown field") => {
            let keys = choices(&complaint.message);
            let keys = keys.into_iter().map(|key| format!("{key}: ..."));
            format!("{{{}}}", keys.collect::<Vec<_>>().join(", "))
        }
        _ => "...".to_string(),
    };
    format!("must have its settings, as in `{choice}: {settings}`, got {choice} alone")
}

/// What is accepted at `path`: asked of the reader by what no reader accepts.
fn accepted<T: DeserializeOwned>(value: &Value, path: &[String]) -> String {
    let mut map = Mapping::new();
    map.insert(PROBE.into(), Value::Null);
    let probes = [Value::Mapping(map), PROBE.into()];
    for probe in probes {
        let mut asked = value.clone();
        if !put(&mut asked, path, probe) {
            continue;
        }
        let Err(complaint) = attempt::<T>(&asked) else {
            continue;
        };
        let message = complaint.message;
        // Another key may have been complained of.
        if !path.iter().zip(&complaint.path).all(|(a, b)| a == b) {
            continue;
        }
        if message.starts_with("unknown field") {
            return format!("a section with keys among {}", choices(&message).join(", "));
        }
        if message.starts_with("unknown variant") {
            return one_of(&choices(&message));
        }
        if let Some((_, expected)) = message.rsplit_once(", expected ")
            && let Some(words) = plain(expected)
        {
            return words;
        }
        if let Some((_, words)) = message.split_once("must be ") {
            let end = words.find(", got ").unwrap_or(words.len());
            return words[..end].to_string();
        }
    }
    "a section with keys, as in the files of configs/".to_string()
}

/// One line, for a document that is not YAML.
pub(super) fn of_yaml(error: &serde_yaml::Error) -> String {
    let message = error.to_string();
    if let Some((above, rest)) = message.split_once("duplicate entry with key \"")
        && let Some((key, place)) = rest.split_once('"')
    {
        let above = above.trim_end_matches(": ");
        let dot = if above.is_empty() { "" } else { "." };
        return format!("{above}{dot}{key}: must stand there once, stands twice{place}");
    }
    if let Some((key, rest)) = message.split_once("invalid type: integer `")
        && let Some((number, _)) = rest.split_once('`')
    {
        return format!(
            "{key}must be a number of up to 64 bits, got {}",
            cut(number)
        );
    }
    if message.contains("more than one document") {
        return "holds several documents (---), must be one: keep one of them".to_string();
    }
    format!("must be YAML: {}", cut_long(&message))
}
