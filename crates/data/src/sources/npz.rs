//! Archives of NumPy (`.npz`): images, points or rows of a table in one array, their classes in another.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zip::ZipArchive;

use super::array::{
    Array, Chosen, Element, NpyLayout, Place, Reading, choose, classes, load, not_read,
};
use super::file_name;
use crate::error::DataError;
use crate::file_error::{FileError, kind_of_file};
use crate::file_kind::FileKind;
use crate::labels::{ClassLabels, Labels};
use crate::source::Source;
use crate::splits::Splits;

/// What samples and their classes are called in an archive of samples.
const SAMPLES: [&str; 2] = ["arr_0", "arr_1"];

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
    /// The array of the classes; one that is called `labels` or `y` if not named, or `arr_1` beside `u8` images `arr_0` where
    /// it holds a whole number for each, as archives of samples have them.
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
        let mut chosen = choose(&Place::file(path), &names, wanted[0], wanted[1])?;
        let images = array(&mut archive, path, &chosen.images)?;
        let (num, of_bytes) = (images.num(), images.element == Element::U8);
        drop(images);
        let mut remark = None;
        let labels = match &chosen.labels {
            None if of_bytes => match of_samples(&mut archive, path, &chosen, num) {
                None => Labels::Absent,
                Some(found) => {
                    chosen.others.retain(|name| name != SAMPLES[1]);
                    remark = Some(format!("classes from {}", SAMPLES[1]));
                    Labels::Classes(found)
                }
            },
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
        splits.found.remarks.extend(remark);
        Ok(splits)
    }
}

/// The classes of an archive of `num` samples; `None` where the second array is not there or is none of classes.
fn of_samples(
    archive: &mut Archive,
    path: &Path,
    chosen: &Chosen,
    num: usize,
) -> Option<ClassLabels> {
    let [images, labels] = SAMPLES;
    let there = chosen.images == images && chosen.others.iter().any(|name| name == labels);
    let labels = there.then(|| array(archive, path, labels).ok()).flatten()?;
    classes(labels, num).ok()
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
