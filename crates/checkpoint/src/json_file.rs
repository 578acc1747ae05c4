//! Small JSON files within bounds, as people and Python write them.

use std::fs;
use std::io::Read;
use std::path::Path;

use crate::sniff;

/// Longest configuration that is read, in bytes.
pub(crate) const MAX_CONFIG: u64 = 1 << 20;
/// Longest index of the parts of weights that is read, in bytes.
pub(crate) const MAX_INDEX: u64 = 16 << 20;

/// The text of a file of at most `limit` bytes, without a byte order mark.
///
/// # Errors
///
/// A sentence on what is wrong, without the file's name.
pub(crate) fn read(path: &Path, limit: u64) -> Result<String, String> {
    let file = fs::File::open(path).map_err(|e| e.to_string())?;
    let metadata = file.metadata().map_err(|e| e.to_string())?;
    if !metadata.is_file() {
        return Err("it is not a file".into());
    }
    let too_long = |len: u64| format!("it has {len} bytes, at most {limit} are read");
    if metadata.len() > limit {
        return Err(too_long(metadata.len()));
    }
    let mut bytes = Vec::new();
    let read = file.take(limit + 1).read_to_end(&mut bytes);
    read.map_err(|e| e.to_string())?;
    // It may have grown since.
    if bytes.len() as u64 > limit {
        return Err(too_long(bytes.len() as u64));
    }
    decode(bytes)
}

fn decode(bytes: Vec<u8>) -> Result<String, String> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err("it is UTF-16: save it as UTF-8".into());
    }
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    // Braces are what is looked for here.
    if text.trim_ascii_start().first() != Some(&b'{')
        && let Some(what) = sniff::of_head(&bytes, bytes.len() as u64)
    {
        return Err(what);
    }
    let mut text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        format!("it is not UTF-8 from byte {at} on")
    })?;
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    Ok(text)
}

/// Puts the numbers that Python writes and JSON does not know (`NaN`, `Infinity`, `-Infinity`) in quotes, so that the
/// rest can be read.
pub(crate) fn quote_python_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut inside) = (text, false);
    while let Some(first) = rest.chars().next() {
        let word = ["-Infinity", "Infinity", "NaN"]
            .into_iter()
            .find(|word| !inside && rest.starts_with(word));
        let len = if let Some(word) = word {
            out.push('"');
            out.push_str(word);
            out.push('"');
            word.len()
        } else {
            let escaped = inside && first == '\\';
            inside ^= first == '"';
            // What stands behind a backslash ends nothing.
            let second = rest.chars().nth(1).filter(|_| escaped);
            let len = first.len_utf8() + second.map_or(0, char::len_utf8);
            out.push_str(&rest[..len]);
            len
        };
        rest = &rest[len..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_python_are_quoted_outside_of_texts_only() {
        for (text, want) in [
            (r#"{"a": -Infinity}"#, r#"{"a": "-Infinity"}"#),
            (r#"[NaN,Infinity,1]"#, r#"["NaN","Infinity",1]"#),
            (r#"{"NaN": "a \" NaN"}"#, r#"{"NaN": "a \" NaN"}"#),
            (r#"{"a\\": NaN}"#, r#"{"a\\": "NaN"}"#),
        ] {
            assert_eq!(quote_python_numbers(text), want);
        }
    }

    #[test]
    fn a_byte_order_mark_is_passed_over_and_utf_16_is_named() {
        assert_eq!(
            decode(b"\xef\xbb\xbf{\"a\": 1}".to_vec()).unwrap(),
            "{\"a\": 1}"
        );
        let got = decode(b"\xff\xfe{\0}\0".to_vec()).unwrap_err();
        assert!(got.contains("UTF-16"), "got {got}");
        let got = decode(b"<html>".to_vec()).unwrap_err();
        assert!(got.contains("web page"), "got {got}");
    }

    #[test]
    fn a_long_file_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        // Two gigabytes that take no room on the disk.
        fs::File::create(&path).unwrap().set_len(2 << 30).unwrap();
        let got = read(&path, MAX_CONFIG).unwrap_err();
        assert_eq!(got, "it has 2147483648 bytes, at most 1048576 are read");
    }
}
