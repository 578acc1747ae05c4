//! Checksums that JSON files carry of their own content: a configuration's, which covers its weights too, as it
//! records theirs, and a result's.

use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{CheckpointConfig, CheckpointError};

/// The key that the checksum stands under.
const KEY: &str = "config_sha256";

/// Whether a file records its own checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seal {
    /// It does, and it is right.
    Right,
    /// It does not.
    Absent,
}

/// The text of a configuration with its checksum.
pub(crate) fn write(config: &CheckpointConfig) -> String {
    let as_text = |value: &Value| {
        serde_json::to_string_pretty(value).expect("a value has string keys and finite numbers")
    };
    let value = serde_json::to_value(config);
    let value = value.expect("a configuration has string keys and finite numbers");
    // As a reader will see it: numbers are what their text says.
    let read: Value = serde_json::from_str(&as_text(&value)).expect("what was written is JSON");
    let mut value = value;
    if let Some(fields) = value.as_object_mut() {
        fields.insert(KEY.into(), json_sha256(&read).into());
    }
    as_text(&value) + "\n"
}

/// Takes the checksum out of a configuration that was read and compares it.
///
/// # Errors
///
/// [`CheckpointError::ConfigChecksum`].
pub(crate) fn take(value: &mut Value, path: &Path) -> Result<Seal, CheckpointError> {
    let Some(want) = value.as_object_mut().and_then(|fields| fields.remove(KEY)) else {
        return Ok(Seal::Absent);
    };
    let got = json_sha256(value);
    if want == got.as_str() {
        return Ok(Seal::Right);
    }
    let want = want.as_str().unwrap_or("something else than a word");
    Err(CheckpointError::ConfigChecksum {
        path: path.to_path_buf(),
        got,
        want: want.chars().filter(|c| !c.is_control()).take(64).collect(),
    })
}

/// SHA-256 of the value's text without white space and with its keys in order, in hexadecimal.
///
/// Two texts of the same value, however laid out, have the same.
pub fn json_sha256(value: &Value) -> String {
    let mut text = String::new();
    canonical(value, &mut text);
    hexadecimal(&Sha256::digest(text.as_bytes()))
}

pub(crate) fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            text.push('{');
            for (key, value) in entries {
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                canonical(value, text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                canonical(item, text);
                text.push(',');
            }
            text.push(']');
        }
        other => text.push_str(&other.to_string()),
    }
}
