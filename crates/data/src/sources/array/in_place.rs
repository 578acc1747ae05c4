//! Arrays that are too large for memory: rows are read when they are needed.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::sync::{Mutex, PoisonError};

use super::rows::{BYTES, Rows, arrange, scaled};
use super::{Array, CUT, Element, Place};
use crate::file_error::FileError;
use crate::storage::Stored;

/// Rows of an array that stay in its file.
#[derive(Debug)]
pub(super) struct InPlace {
    place: Place,
    file: Mutex<File>,
    start: u64,
    element: Element,
    rows: Rows,
}

impl InPlace {
    /// The `rows` of an array whose elements stand in its file as they are; all of them are looked at.
    ///
    /// # Errors
    ///
    /// An array that is packed, a value beyond the range, and a file that is cut off.
    pub(super) fn checked(mut array: Array<'_>, rows: Rows) -> Result<Self, FileError> {
        let Some(start) = array.start else {
            return Err(rows.too_large(array.path()));
        };
        let (place, element) = (array.place.clone(), array.element);
        // No byte lies beyond the range of bytes, and that there are enough of them is known.
        if element != Element::U8 || rows.range != BYTES {
            for row in 0..rows.num {
                let values = array.next(rows.n())?;
                scaled(&values, rows.range, row).map_err(|r| array.refuse(r))?;
            }
            array.end()?;
        }
        let file = File::open(&place.path).map_err(FileError::io(&place.path))?;
        Ok(Self {
            place,
            file: Mutex::new(file),
            start,
            element,
            rows,
        })
    }
}

impl Stored for InPlace {
    fn read(&self, indices: &[usize]) -> Result<Vec<f32>, FileError> {
        let row_bytes = self.rows.n() * self.element.bytes();
        let mut values = Vec::with_capacity(indices.len() * self.rows.n());
        let mut bytes = vec![0; row_bytes];
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        for &row in indices {
            let at = self.start + row as u64 * row_bytes as u64;
            let read = file
                .seek(SeekFrom::Start(at))
                .and_then(|_| file.read_exact(&mut bytes));
            read.map_err(|error| match error.kind() {
                ErrorKind::UnexpectedEof => self.place.refuse(CUT),
                _ => FileError::io(&self.place.path)(error),
            })?;
            let elements = bytes.chunks_exact(self.element.bytes());
            let elements: Vec<f64> = elements.map(|bytes| self.element.value(bytes)).collect();
            let scaled = scaled(&elements, self.rows.range, row);
            let scaled = scaled.map_err(|reason| self.place.refuse(reason))?;
            arrange(&scaled, self.rows.shape, self.rows.layout, &mut values);
        }
        Ok(values)
    }

    fn listing(&self, _: &[usize], take: &mut dyn FnMut(&[u8])) {
        // The one file, whose size is that of its rows.
        take(&(self.rows.num as u64).to_le_bytes());
    }
}
