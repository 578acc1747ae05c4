//! The text of a YAML document: what is read at all, and how large it may be.
//!
//! The parser takes memory for every value (about 130 bytes), time with the square of the depth of brackets, and
//! copies what an alias stands for; so each of these has a bound.

use std::cell::Cell;
use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use pfgmpp_data::FileKind;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use serde_yaml::Value;

use super::words;
use crate::error::ConfigError;

/// The largest file that is read: ten thousand values of an axis have room in it many times over.
const MAX_BYTES: u64 = 1 << 20;
/// Brackets within brackets.
const MAX_DEPTH: usize = 64;
/// What a document's values may take, aliases replaced by what they stand for, in bytes.
const MAX_SIZE: usize = 16 << 20;
/// What a value takes beside its text.
const NODE: usize = 64;

/// The text of the file at `path`.
///
/// # Errors
///
/// A file that cannot be read, is too large, or is not UTF-8 text.
pub(super) fn read(path: &Path) -> Result<String, ConfigError> {
    let refuse = |message: &str| ConfigError::new(path.display(), message);
    let io = |error: std::io::Error| refuse(&plain_io(&error));
    let found = fs::metadata(path).map_err(io)?;
    if found.is_dir() {
        return Err(refuse("is a folder: a YAML file is needed"));
    }
    // A device or a pipe could go on for ever.
    if !found.is_file() {
        return Err(refuse("is not a file: a YAML file is needed"));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(io)?;
    let read = file.take(MAX_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(io)?;
    if bytes.len() as u64 > MAX_BYTES {
        let size = found.len();
        return Err(refuse(&format!(
            "has {size} bytes, a configuration up to {MAX_BYTES}: name a YAML file such as those of configs/"
        )));
    }
    decode(bytes).map_err(|message| refuse(&message))
}

fn decode(bytes: Vec<u8>) -> Result<String, String> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err("is UTF-16 text, YAML must be UTF-8: save it as UTF-8".to_string());
    }
    let head = &bytes[..bytes.len().min(FileKind::HEAD)];
    if let Some(what) = network_file(head) {
        return Err(format!("a YAML file is needed: the file is {what}"));
    }
    // JSON is YAML.
    let json = head.trim_ascii_start().starts_with(b"{");
    let kind = FileKind::of(head, bytes.len() as u64).filter(|_| !json);
    if let Some(kind) = kind {
        return Err(format!("a YAML file is needed: the file is {kind}"));
    }
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        format!("is not UTF-8 text from byte {at} on: save it as UTF-8")
    })?;
    // Some editors begin a file with a mark of the byte order.
    Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).to_string())
}

/// What a file is that networks are kept in, from its first bytes.
fn network_file(head: &[u8]) -> Option<&'static str> {
    match head {
        [_, _, _, _, _, 0, 0, 0, b'{', ..] => Some("a safetensors file, as weights are kept in"),
        [b'P', b'K', 3, 4, ..] => Some("a ZIP archive, as images, arrays and networks come in"),
        [0x80, 1..=5, ..] => Some("a pickle, as networks are kept in"),
        _ => None,
    }
}

/// The tree of values that `text` holds, merge keys (`<<`) replaced by what they stand for.
///
/// # Errors
///
/// A text that is not YAML, or that takes more than its bounds.
pub(super) fn tree(text: &str, origin: &str) -> Result<Value, ConfigError> {
    let refuse = |message: String| ConfigError::new(origin, message);
    if depth(text) > MAX_DEPTH {
        return Err(refuse(format!(
            "brackets stand more than {MAX_DEPTH} deep: must be up to {MAX_DEPTH}"
        )));
    }
    let yaml = |error: serde_yaml::Error| refuse(words::of_yaml(&error));
    let left = Cell::new(MAX_SIZE);
    let measured = Measure { left: &left }.deserialize(serde_yaml::Deserializer::from_str(text));
    match measured {
        Err(_) if left.get() == 0 => Err(refuse(format!(
            "takes more than {} MiB of values, aliases (*name) written out: must be up to that: shorten it",
            MAX_SIZE >> 20
        ))),
        Err(error) => Err(yaml(error)),
        Ok(()) => {
            let mut value: Value = serde_yaml::from_str(text).map_err(yaml)?;
            value.apply_merge().map_err(|_| {
                refuse("<<: must be a mapping or a list of mappings, such as *name".to_string())
            })?;
            Ok(value)
        }
    }
}

/// How deep brackets stand within each other; quotes and comments are not told apart.
fn depth(text: &str) -> usize {
    let mut now = 0usize;
    let mut most = 0;
    for byte in text.bytes() {
        match byte {
            b'[' | b'{' => now += 1,
            b']' | b'}' => now = now.saturating_sub(1),
            _ => {}
        }
        most = most.max(now);
    }
    most
}

/// Goes through a document without keeping it, as long as there is room `left`.
#[derive(Clone, Copy)]
struct Measure<'a> {
    left: &'a Cell<usize>,
}

impl Measure<'_> {
    fn take<E: Error>(self, bytes: usize) -> Result<(), E> {
        let left = self.left.get().saturating_sub(NODE + bytes);
        self.left.set(left);
        match left {
            0 => Err(E::custom("too large")),
            _ => Ok(()),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Measure<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Measure<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.take(0)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.take(0)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.take(0)
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<(), E> {
        self.take(0)
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<(), E> {
        self.take(0)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.take(0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.take(text.len())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.take(0)
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        self.take(0)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.take(0)?;
        while items.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        self.take(0)?;
        while entries.next_entry_seed(self, self)?.is_some() {}
        Ok(())
    }

    // A value with a tag, such as `!name value`.
    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<(), A::Error> {
        let (_, value) = tagged.variant_seed(self)?;
        value.newtype_variant_seed(self)
    }
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

    #[test]
    fn files_of_networks_are_called_what_they_are() {
        for (bytes, want) in [
            (&b"\x40\0\0\0\0\0\0\0{\"a\": 1}"[..], "a safetensors file"),
            (b"PK\x03\x04abc", "a ZIP archive"),
            (b"\x80\x04\x95abc", "a pickle"),
        ] {
            let got = decode(bytes.to_vec()).unwrap_err();
            assert!(got.contains(want), "got {got}, want {want}");
        }
    }

    fn refused(text: &str) -> String {
        tree(text, "c.yaml").unwrap_err().message
    }

    #[test]
    fn documents_that_would_take_hours_or_all_memory_are_refused_at_once() {
        let began = std::time::Instant::now();
        let deep = format!("x: {}{}", "[".repeat(400_000), "]".repeat(400_000));
        let got = refused(&deep);
        assert!(got.contains("up to 64"), "got {got}");
        let wide = format!("x: [{}]", ["1"; 500_000].join(","));
        let got = refused(&wide);
        assert!(got.contains("16 MiB"), "got {got}");
        let mut aliases = format!("a: &a [\"{}\"]\n", "x".repeat(100_000));
        (0..20_000).for_each(|i| aliases += &format!("k{i}: *a\n"));
        let got = refused(&aliases);
        assert!(got.contains("16 MiB"), "got {got}");
        let seconds = began.elapsed().as_secs_f64();
        assert!(seconds < 10.0, "got {seconds} s");
    }

    #[test]
    fn ten_thousand_values_of_an_axis_are_read() {
        let values: Vec<String> = (0..10_000).map(|i| format!("[{i}, 0.5]")).collect();
        let text = format!("axes: {{x: [{}]}}", values.join(", "));
        let tree = tree(&text, "c.yaml").unwrap();
        let got = tree["axes"]["x"].as_sequence().unwrap().len();
        assert_eq!(got, 10_000);
    }

    #[test]
    fn merge_keys_are_replaced_by_what_they_stand_for() {
        let text = "a: &a {lr: 1, eps: 2}\nb: {<<: *a, lr: 3}\nc: {<<: [*a, {z: 4}]}\n";
        let tree = tree(text, "c.yaml").unwrap();
        let got = [&tree["b"]["lr"], &tree["b"]["eps"], &tree["c"]["z"]].map(Value::as_u64);
        assert_eq!(got, [Some(3), Some(2), Some(4)]);
        assert!(tree["b"].get("<<").is_none());
        let got = refused("b: {<<: 3}");
        assert!(got.contains("must be a mapping"), "got {got}");
    }

    #[test]
    fn what_is_not_yaml_is_called_what_it_is() {
        for (bytes, want) in [
            (b"\xff\xfea\0".to_vec(), "UTF-16"),
            (b"a: \xe9".to_vec(), "not UTF-8 text from byte 3"),
            (b"\x1f\x8b\x08\0".to_vec(), "gzip"),
        ] {
            let got = decode(bytes).unwrap_err();
            assert!(got.contains(want), "got {got}, want {want}");
        }
        assert_eq!(decode(b"\xef\xbb\xbfa: 1".to_vec()).unwrap(), "a: 1");
    }
}
