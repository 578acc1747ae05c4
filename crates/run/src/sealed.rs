//! JSON that carries the checksum of its own content.

use pfgmpp_checkpoint::json_sha256;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The key that the checksum stands under.
pub(crate) const SEAL: &str = "sha256";

/// The text of `value`, an object with string keys, with its checksum at its end.
pub fn to_sealed_json(value: &impl Serialize) -> String {
    let text = serde_json::to_string_pretty(value).expect("an object with string keys");
    // As a reader will see it: numbers are what their text says.
    let read = serde_json::from_str(&text).expect("what was written is JSON");
    let fields = text.trim_end_matches('}').trim_end();
    // In the text, not the value: fields stay in their order.
    format!("{fields},\n  \"{SEAL}\": \"{}\"\n}}\n", json_sha256(&read))
}

/// What [`to_sealed_json`] wrote.
///
/// # Errors
///
/// What is not such a text, and content that is not what the checksum says.
pub fn from_sealed_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let mut value: Value = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    match take_seal(&mut value)? {
        true => serde_json::from_slice(bytes).map_err(|e| e.to_string()),
        false => Err("it has no checksum".to_string()),
    }
}

/// Takes the checksum out of what was read and compares it; whether there was one.
pub(crate) fn take_seal(value: &mut Value) -> Result<bool, String> {
    let seal = value.as_object_mut().and_then(|fields| fields.remove(SEAL));
    match &seal {
        Some(seal) if *seal != json_sha256(value).as_str() => {
            Err("its checksum is not that of its content".to_string())
        }
        seal => Ok(seal.is_some()),
    }
}
