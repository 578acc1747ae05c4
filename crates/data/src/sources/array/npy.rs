//! The format of `.npy` files: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

use std::io::Read;
use std::path::Path;

use super::Element;
use crate::file_error::{FileError, kind_of_file};
use crate::file_kind::FileKind;

/// Bytes of the description at the beginning of an array.
const MAX_HEADER: usize = 64 << 10;

/// Refuses a file that is not an array.
pub(super) fn check(path: &Path) -> Result<(), FileError> {
    let reason = match kind_of_file(path)? {
        Some(FileKind::NPY) => return Ok(()),
        Some(kind) => format!("is not a NumPy array but {kind}"),
        None => "is not a NumPy array (.npy)".to_string(),
    };
    Err(FileError::file(path, reason))
}

/// The type that NumPy calls `name`.
fn named(name: &str) -> Option<Element> {
    let whole = |signed: bool| {
        let bytes: usize = name.get(2..)?.parse().ok()?;
        let order = name.starts_with('<') || (name.starts_with('|') && bytes == 1);
        (order && [1, 2, 4, 8].contains(&bytes)).then_some(Element::Whole(bytes, signed))
    };
    match (name, name.get(1..2)?) {
        ("|u1", _) => Some(Element::U8),
        ("<f4", _) => Some(Element::F32),
        ("<f8", _) => Some(Element::F64),
        (_, "u") => whole(false),
        (_, "i") => whole(true),
        _ => None,
    }
}

/// The description of an array, and the bytes of the file before its elements.
pub(super) struct Header {
    pub text: String,
    pub bytes: usize,
}

pub(super) fn read_header(reader: &mut impl Read) -> Option<Header> {
    let mut start = [0; 8];
    reader.read_exact(&mut start).ok()?;
    // Version 1 has two bytes of length, later ones four.
    let width = if start[6] == 1 { 2 } else { 4 };
    let mut length = [0; 4];
    reader.read_exact(&mut length[..width]).ok()?;
    let length = u32::from_le_bytes(length) as usize;
    let mut text = vec![0; length.min(MAX_HEADER)];
    reader.read_exact(&mut text).ok()?;
    Some(Header {
        text: String::from_utf8_lossy(&text).into_owned(),
        bytes: start.len() + width + length,
    })
}

/// Element type and shape of `{'descr': '<f4', 'fortran_order': False, 'shape': (10, 8, 8), }`.
pub(super) fn described(header: &str) -> Result<(Element, Vec<usize>), String> {
    let after = |key: &str| {
        let (_, rest) = header.split_once(&format!("'{key}':"))?;
        Some(rest.trim_start())
    };
    let damaged =
        || "is a NumPy array whose description cannot be read: write it again".to_string();
    let name = after("descr").ok_or_else(damaged)?;
    let quoted = name
        .strip_prefix('\'')
        .and_then(|name| name.split('\'').next());
    let element = quoted.and_then(named).ok_or_else(|| {
        let got = quoted.unwrap_or("records");
        format!("is an array of {got}, accepted are u8 (|u1), f32 (<f4) and f64 (<f8): convert it by astype")
    })?;
    if after("fortran_order").is_some_and(|rest| rest.starts_with("True")) {
        return Err("is stored by columns: save numpy.ascontiguousarray of it".to_string());
    }
    let shape = after("shape").and_then(|rest| rest.strip_prefix('('));
    let shape = shape
        .and_then(|rest| rest.split(')').next())
        .ok_or_else(damaged)?;
    let sizes = shape
        .split(',')
        .map(str::trim)
        .filter(|size| !size.is_empty());
    let sizes: Result<Vec<usize>, _> = sizes.map(str::parse).collect();
    Ok((element, sizes.map_err(|_| damaged())?))
}
