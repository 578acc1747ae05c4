//! The format of `.npy` files: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use crate::file_error::{FileError, kind_of_file};
use crate::file_kind::FileKind;

/// Bytes of the description at the beginning of an array.
const MAX_HEADER: usize = 64 << 10;

/// The type of an array's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    U8,
    /// Whole numbers, for labels: bytes of each, and whether they have a sign.
    Whole(usize, bool),
    F32,
    F64,
}

impl Element {
    fn named(name: &str) -> Option<Self> {
        let whole = |signed: bool| {
            let bytes: usize = name.get(2..)?.parse().ok()?;
            let order = name.starts_with('<') || (name.starts_with('|') && bytes == 1);
            (order && [1, 2, 4, 8].contains(&bytes)).then_some(Self::Whole(bytes, signed))
        };
        match (name, name.get(1..2)?) {
            ("|u1", _) => Some(Self::U8),
            ("<f4", _) => Some(Self::F32),
            ("<f8", _) => Some(Self::F64),
            (_, "u") => whole(false),
            (_, "i") => whole(true),
            _ => None,
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::Whole(bytes, _) => bytes,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    fn value(self, bytes: &[u8]) -> f64 {
        let mut wide = [0; 8];
        wide[..bytes.len()].copy_from_slice(bytes);
        let unsigned = u64::from_le_bytes(wide);
        match self {
            Self::F64 => f64::from_bits(unsigned),
            Self::F32 => f64::from(f32::from_bits(unsigned as u32)),
            Self::Whole(bytes, true) => {
                let unused = 64 - 8 * bytes as u32;
                ((unsigned << unused) as i64 >> unused) as f64
            }
            Self::U8 | Self::Whole(_, false) => unsigned as f64,
        }
    }
}

/// An array whose elements are read in the order of the file.
pub(super) struct Array {
    path: PathBuf,
    reader: Box<dyn Read>,
    /// Of what type.
    pub element: Element,
    /// How many along each axis.
    pub shape: Vec<usize>,
}

impl Array {
    pub(super) fn open(path: &Path) -> Result<Self, FileError> {
        match kind_of_file(path)? {
            Some(FileKind::NPY) => {}
            Some(kind) => {
                return Err(FileError::file(
                    path,
                    format!("is not a NumPy array but {kind}"),
                ));
            }
            None => return Err(FileError::file(path, "is not a NumPy array (.npy)")),
        }
        let file = File::open(path).map_err(FileError::io(path))?;
        let len = file.metadata().map_err(FileError::io(path))?.len();
        Self::read(path, Box::new(BufReader::new(file)), len)
    }

    /// An array of `len` bytes with its description, from `reader`; `path` is where it is said to stand.
    pub(super) fn read(
        path: &Path,
        mut reader: Box<dyn Read>,
        len: u64,
    ) -> Result<Self, FileError> {
        let cut = || FileError::file(path, "is a NumPy array that is cut off: copy it again");
        let header = read_header(&mut reader).ok_or_else(cut)?;
        let refuse = |reason| FileError::file(path, reason);
        let (element, shape) = described(&header.text).map_err(refuse)?;
        let sizes = shape.iter().map(|&size| size as u128);
        let values = sizes.fold(element.bytes() as u128, u128::saturating_mul);
        match u128::from(len).cmp(&values.saturating_add(header.bytes as u128)) {
            std::cmp::Ordering::Less => return Err(cut()),
            std::cmp::Ordering::Greater => {
                let reason = format!("holds more than its shape {shape:?} says: write it again");
                return Err(refuse(reason));
            }
            std::cmp::Ordering::Equal => {}
        }
        let path = path.to_path_buf();
        Ok(Self {
            path,
            reader,
            element,
            shape,
        })
    }

    /// The next `count` elements.
    pub(super) fn next(&mut self, count: usize) -> Result<Vec<f64>, FileError> {
        let mut bytes = vec![0; count * self.element.bytes()];
        let read = self.reader.read_exact(&mut bytes);
        read.map_err(FileError::io(&self.path))?;
        let elements = bytes.chunks_exact(self.element.bytes());
        Ok(elements.map(|bytes| self.element.value(bytes)).collect())
    }
}

/// The description of an array, and the bytes of the file before its elements.
struct Header {
    text: String,
    bytes: usize,
}

fn read_header(reader: &mut impl Read) -> Option<Header> {
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
fn described(header: &str) -> Result<(Element, Vec<usize>), String> {
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
    let element = quoted.and_then(Element::named).ok_or_else(|| {
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
