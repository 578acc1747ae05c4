//! Archives of NumPy (`.npz`): images, points or rows of a table in one array, their classes in another.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zip::ZipArchive;

use super::array::{Array, NpyLayout, Place, Reading, choose, classes, load, not_read};
use super::file_name;
use crate::error::DataError;
use crate::file_error::{FileError, kind_of_file};
use crate::file_kind::FileKind;
use crate::labels::Labels;
use crate::source::Source;
use crate::splits::Splits;

/// Arrays in an archive; more are a mistake.
const MAX_ARRAYS: usize = 1 << 16;

/// An archive of arrays, as `numpy.savez` and `numpy.savez_compressed` write it. Row `i` is held out when `i % 5 == 4`;
/// shapes and types are those of [`NpyArray`](crate::NpyArray).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NpzArchive {
    /// The archive; a relative path starts from the working directory.
    pub path: PathBuf,
    /// The array of the images; one that is called `images`, `x`, `data` or `arr_0`, or the only one, if not named.
    #[serde(default)]
    pub images: Option<String>,
    /// The array of the classes; one that is called `labels` or `y` if not named.
    #[serde(default)]
    pub labels: Option<String>,
    /// The values that become -1 and 1; `u8` needs none.
    #[serde(default)]
    pub range: Option<[f64; 2]>,
    /// Where the channels stand, needed where the shape allows both.
    #[serde(default)]
    pub layout: Option<NpyLayout>,
}

impl Source for NpzArchive {
    fn name(&self) -> String {
        file_name(&self.path)
    }

    fn load(&self) -> Result<Splits, DataError> {
        let path = &self.path;
        let mut archive = open(path)?;
        let names = names(&archive, path)?;
        let wanted = [&self.images, &self.labels].map(Option::as_deref);
        let chosen = choose(&Place::file(path), &names, wanted[0], wanted[1])?;
        let num = array(&mut archive, path, &chosen.images)?.num();
        let labels = match &chosen.labels {
            None => Labels::Absent,
            Some(name) => Labels::Classes(classes(array(&mut archive, path, name)?, num)?),
        };
        let reading = Reading {
            range: self.range,
            layout: self.layout,
        };
        let images = array(&mut archive, path, &chosen.images)?;
        let mut splits = load(self.name(), images, reading, &labels)?;
        splits.found.skipped.extend(not_read(&chosen.others));
        Ok(splits)
    }
}

/// An archive of arrays.
pub(super) type Archive = ZipArchive<BufReader<File>>;

/// The archive at `path`.
pub(super) fn open(path: &Path) -> Result<Archive, FileError> {
    let file = File::open(path).map_err(FileError::io(path))?;
    ZipArchive::new(BufReader::new(file)).map_err(|_| match kind_of_file(path) {
        Err(error) => error,
        Ok(Some(FileKind::ZIP)) => FileError::file(
            path,
            "is a NumPy archive that is cut off or damaged: copy it again",
        ),
        Ok(Some(kind)) => FileError::file(path, format!("is not a NumPy archive but {kind}")),
        Ok(None) => FileError::file(path, "is not a NumPy archive (.npz)"),
    })
}

/// The arrays by their names, without the ending of their files.
pub(super) fn names(archive: &Archive, path: &Path) -> Result<Vec<String>, FileError> {
    if archive.len() > MAX_ARRAYS {
        let reason =
            format!("holds more than {MAX_ARRAYS} files, which is not an archive of arrays");
        return Err(FileError::file(path, reason));
    }
    let files = archive.file_names().filter_map(Result::ok);
    let arrays = files.filter_map(|name| Some(name.strip_suffix(".npy")?.to_string()));
    let mut names: Vec<String> = arrays.collect();
    names.sort_unstable();
    Ok(names)
}

/// An array of the archive by its name.
pub(super) fn array<'a>(
    archive: &'a mut Archive,
    path: &Path,
    name: &str,
) -> Result<Array<'a>, FileError> {
    let place = Place::within(path, name);
    let entry = archive.by_name(&format!("{name}.npy"));
    let entry = entry.map_err(|e| place.refuse(format!("cannot be read ({e}): write it again")))?;
    let len = entry.size();
    Array::of_npy(place, entry, len)
}
