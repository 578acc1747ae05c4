//! Images in a column of Parquet files, as data sets of the Hub hold them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::super::file_name;
use crate::error::DataError;
use crate::source::Source;
use crate::splits::Splits;

/// The images of a Parquet file, or of all `.parquet` files of a folder in the order of their names: a column of image files
/// (PNG, JPEG, WebP, TIFF, BMP), either bytes or a structure that holds `bytes`, and a column of classes, whole numbers
/// or names. Image `i` is held out when `i % 5 == 4`; images are handled as in [`ImageArchive`](crate::ImageArchive).
///
/// Files of up to 1 GiB in all, in a program with the data sets of the Hub.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParquetFiles {
    /// The file or folder; a relative path starts from the working directory.
    pub path: PathBuf,
    /// The column of the images; the first that holds bytes if it is not named.
    #[serde(default)]
    pub image: Option<String>,
    /// The column of the classes; `label` if there is one, where it is not named.
    #[serde(default)]
    pub label: Option<String>,
}

impl Source for ParquetFiles {
    fn name(&self) -> String {
        file_name(&self.path)
    }

    #[cfg(feature = "datasets")]
    fn load(&self) -> Result<Splits, DataError> {
        self.read()
    }

    /// Says what is missing.
    #[cfg(not(feature = "datasets"))]
    fn load(&self) -> Result<Splits, DataError> {
        Err(DataError::NoDatasets { name: "parquet" })
    }
}

#[cfg(feature = "datasets")]
mod read {
    use std::fs::{self, File};
    use std::path::{Path, PathBuf};

    use candle_datasets::hub::FileReader;
    use parquet::file::reader::SerializedFileReader;
    use parquet::record::{Field, Row};

    use super::super::archive::{Archive, Entry, Listing};
    use super::super::parquet_labels::{Label, classes, label_of};
    use super::super::{check_bytes, decode, in_memory};
    use super::ParquetFiles;
    use crate::error::DataError;
    use crate::file_error::FileError;
    use crate::source::Source;
    use crate::splits::{MIN_IMAGES, Splits};
    use crate::storage::Room;

    /// Bytes of all image files.
    const MOST_BYTES: u64 = 1 << 30;
    /// The column of the classes that needs no name.
    const LABEL: &str = "label";

    /// Image files in memory, and the class of each as it stands there.
    #[derive(Default)]
    struct Rows {
        images: Vec<Vec<u8>>,
        labels: Vec<Label>,
        bytes: u64,
    }

    impl Archive for Rows {
        fn list(&mut self) -> Result<Listing, FileError> {
            Ok(Listing::default())
        }

        fn read_up_to(&mut self, entry: &Entry, _: u64) -> Result<Vec<u8>, FileError> {
            Ok(self.images[entry.index].clone())
        }
    }

    impl ParquetFiles {
        pub(super) fn read(&self) -> Result<Splits, DataError> {
            let mut rows = Rows::default();
            for file in self.files()? {
                self.rows(&file, &mut rows)?;
            }
            let num = rows.images.len();
            if num < MIN_IMAGES {
                let error = FileError::TooFew {
                    path: self.path.clone(),
                    what: "images",
                    num,
                    skipped: Vec::new(),
                };
                return Err(error.into());
            }
            let entry = |(index, bytes): (usize, &Vec<u8>)| Entry {
                name: format!("row {index}"),
                index,
                size: bytes.len() as u64,
            };
            let entries: Vec<Entry> = rows.images.iter().enumerate().map(entry).collect();
            let column = self.label.as_deref().unwrap_or(LABEL);
            let labels = classes(column, &rows.labels);
            let first = decode::header(&self.path, &entries[0].name, &rows.images[0])?;
            check_bytes(&self.path, &entries, first)?;
            let (set, room) = (self.name(), Room::USUAL);
            let images = (entries.as_slice(), first);
            in_memory((&self.path, &set), (&mut rows, room), images, &labels)
        }

        /// The files, by name.
        fn files(&self) -> Result<Vec<PathBuf>, FileError> {
            let path = &self.path;
            if !fs::metadata(path).map_err(FileError::io(path))?.is_dir() {
                return Ok(vec![path.clone()]);
            }
            let mut files = Vec::new();
            for entry in fs::read_dir(path).map_err(FileError::io(path))? {
                let file = entry.map_err(FileError::io(path))?.path();
                let is_parquet = file
                    .extension()
                    .is_some_and(|e| e.eq_ignore_ascii_case("parquet"));
                files.extend(is_parquet.then_some(file));
            }
            files.sort();
            match files.is_empty() {
                true => Err(FileError::file(path, "holds no .parquet file")),
                false => Ok(files),
            }
        }

        /// Appends the rows of a file.
        fn rows(&self, path: &Path, rows: &mut Rows) -> Result<(), FileError> {
            let refuse = |reason: String| FileError::file(path, reason);
            let unread = |error: parquet::errors::ParquetError| {
                refuse(format!(
                    "cannot be read as Parquet ({error}): fetch it again"
                ))
            };
            let file = File::open(path).map_err(FileError::io(path))?;
            let reader = SerializedFileReader::new(file).map_err(unread)?;
            for (index, row) in reader.get_row_iter(None).map_err(unread)?.enumerate() {
                let row = row.map_err(unread)?;
                let image = self
                    .image(&row)
                    .map_err(|what| refuse(format!("row {index}: {what}")))?;
                rows.bytes += image.len() as u64;
                if rows.bytes > MOST_BYTES {
                    return Err(refuse(format!(
                        "its image files have more than the {} MiB that are accepted: unpack them into a folder or a ZIP archive",
                        MOST_BYTES >> 20
                    )));
                }
                let label = self
                    .label(&row)
                    .map_err(|what| refuse(format!("row {index}: {what}")))?;
                rows.images.push(image);
                rows.labels.push(label);
            }
            Ok(())
        }

        fn image(&self, row: &Row) -> Result<Vec<u8>, String> {
            let mut columns = row.get_column_iter();
            match &self.image {
                None => {
                    let found = columns.find_map(|(_, field)| bytes(field));
                    found.ok_or_else(|| format!("holds no image among {}", names(row)))
                }
                Some(name) => {
                    let column = columns.find(|(column, _)| *column == name);
                    let (_, field) = column
                        .ok_or_else(|| format!("has no column {name}, but {}", names(row)))?;
                    bytes(field).ok_or_else(|| format!("holds no image in column {name}"))
                }
            }
        }

        fn label(&self, row: &Row) -> Result<Label, String> {
            let wanted = self.label.as_deref().unwrap_or(LABEL);
            let column = row.get_column_iter().find(|(column, _)| *column == wanted);
            match (column, &self.label) {
                (Some((_, field)), _) => Ok(label_of(field)),
                (None, None) => Ok(Label::Absent),
                (None, Some(name)) => Err(format!("has no column {name}, but {}", names(row))),
            }
        }
    }

    /// The names of all columns.
    fn names(row: &Row) -> String {
        let names: Vec<&str> = row
            .get_column_iter()
            .map(|(name, _)| name.as_str())
            .collect();
        names.join(", ")
    }

    /// What a column holds of bytes: its own, or those within it.
    fn bytes(field: &Field) -> Option<Vec<u8>> {
        match field {
            Field::Bytes(bytes) => Some(bytes.data().to_vec()),
            Field::Group(group) => group.get_column_iter().find_map(|(_, field)| match field {
                Field::Bytes(bytes) => Some(bytes.data().to_vec()),
                _ => None,
            }),
            _ => None,
        }
    }
}
