//! Arrays in files of several kinds, read row after row.

mod in_place;
mod named;
mod npy;
mod rows;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

pub(super) use named::{Chosen, choose};
pub use rows::NpyLayout;
#[cfg(test)]
pub(super) use rows::load_into;
pub(super) use rows::{Reading, classes, load};

use crate::file_error::FileError;
use crate::found::Skipped;

/// The type of an array's elements, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    U8,
    /// Whole numbers: bytes of each, and whether they have a sign.
    Whole(usize, bool),
    F32,
    F64,
}

impl Element {
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

/// Arrays of a file that are passed over.
pub(super) fn not_read(names: &[String]) -> Option<Skipped> {
    Some(Skipped {
        one: "array".to_string(),
        why: "",
        count: names.len(),
        example: names.first()?.clone(),
    })
}

/// Where an array lies.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The file.
    pub path: PathBuf,
    /// The array within it, where it holds several.
    pub name: Option<String>,
}

impl Place {
    /// A file that is an array.
    pub fn file(path: &Path) -> Self {
        let (path, name) = (path.to_path_buf(), None);
        Self { path, name }
    }

    /// An array of a file.
    pub fn within(path: &Path, name: &str) -> Self {
        let (path, name) = (path.to_path_buf(), Some(name.to_string()));
        Self { path, name }
    }

    /// An error about the array.
    pub fn refuse(&self, reason: impl Into<String>) -> FileError {
        match &self.name {
            None => FileError::file(&self.path, reason),
            Some(name) => FileError::entry(&self.path, name, reason),
        }
    }
}

/// An array whose elements are read in the order of the file.
pub(super) struct Array<'r> {
    place: Place,
    reader: Box<dyn Read + 'r>,
    /// Of what type.
    pub element: Element,
    /// How many along each axis.
    pub shape: Vec<usize>,
    /// Where they begin in the file, if they stand there as they are.
    start: Option<u64>,
}

impl<'r> Array<'r> {
    /// An array whose elements `reader` gives, which has `held` bytes if that is known.
    ///
    /// # Errors
    ///
    /// Fewer or more bytes than the shape says.
    pub(super) fn new(
        place: Place,
        reader: impl Read + 'r,
        element: Element,
        shape: Vec<usize>,
        held: Option<u64>,
    ) -> Result<Self, FileError> {
        let sizes = shape.iter().map(|&size| size as u128);
        let needed = sizes.fold(element.bytes() as u128, u128::saturating_mul);
        match held.map(|held| u128::from(held).cmp(&needed)) {
            Some(std::cmp::Ordering::Less) => return Err(place.refuse(CUT)),
            Some(std::cmp::Ordering::Greater) => {
                let reason = format!("holds more than its shape {shape:?} says: write it again");
                return Err(place.refuse(reason));
            }
            Some(std::cmp::Ordering::Equal) | None => {}
        }
        Ok(Self {
            place,
            reader: Box::new(reader),
            element,
            shape,
            start: None,
        })
    }

    /// The same, whose elements stand in the file as they are, from byte `start` on.
    pub(super) fn starting_at(self, start: u64) -> Self {
        let start = Some(start);
        Self { start, ..self }
    }

    /// The array of a `.npy` file.
    pub(super) fn open_npy(path: &Path) -> Result<Self, FileError> {
        npy::check(path)?;
        let file = File::open(path).map_err(FileError::io(path))?;
        let len = file.metadata().map_err(FileError::io(path))?.len();
        let array = Self::of_npy(Place::file(path), BufReader::new(file), len)?;
        let sizes = array.shape.iter().map(|&size| size as u64);
        let bytes = sizes.fold(array.element.bytes() as u64, u64::saturating_mul);
        Ok(array.starting_at(len.saturating_sub(bytes)))
    }

    /// The array that `reader` gives as a `.npy` file of `len` bytes.
    pub(super) fn of_npy(
        place: Place,
        mut reader: impl Read + 'r,
        len: u64,
    ) -> Result<Self, FileError> {
        let header = npy::read_header(&mut reader)
            .ok_or_else(|| place.refuse("is not a NumPy array, or it is cut off: copy it again"))?;
        let (element, shape) = npy::described(&header.text).map_err(|r| place.refuse(r))?;
        let held = len.checked_sub(header.bytes as u64);
        Self::new(place, reader, element, shape, Some(held.unwrap_or(0)))
    }

    /// The number of rows.
    pub(super) fn num(&self) -> usize {
        self.shape.first().copied().unwrap_or(0)
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.place.path
    }

    /// An error about the array.
    pub(super) fn refuse(&self, reason: impl Into<String>) -> FileError {
        self.place.refuse(reason)
    }

    /// The next `count` elements.
    pub(super) fn next(&mut self, count: usize) -> Result<Vec<f64>, FileError> {
        let mut bytes = Vec::new();
        let wanted = count as u64 * self.element.bytes() as u64;
        let read = self.reader.by_ref().take(wanted).read_to_end(&mut bytes);
        read.map_err(|e| self.refuse(format!("cannot be read ({e}): write it again")))?;
        if (bytes.len() as u64) < wanted {
            return Err(self.refuse(CUT));
        }
        let elements = bytes.chunks_exact(self.element.bytes());
        Ok(elements.map(|bytes| self.element.value(bytes)).collect())
    }

    /// Makes sure that nothing follows; what is packed has its checksum compared there.
    pub(super) fn end(mut self) -> Result<(), FileError> {
        match self.reader.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => {
                let shape = &self.shape;
                let reason = format!("holds more than its shape {shape:?} says: write it again");
                Err(self.refuse(reason))
            }
            Err(_) => {
                Err(self.refuse("is damaged, its bytes do not match their checksum: copy it again"))
            }
        }
    }
}

const CUT: &str = "is an array that is cut off: copy it again";
