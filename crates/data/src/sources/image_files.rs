//! Image sets in files: images in a ZIP archive or a folder, with their classes in a `dataset.json`, the layout
//! of the published EDM data sets, or by the folders that they lie in.

mod archive;
mod classes;
mod decode;
mod decoding;
mod folder;
mod format;
mod label_file;
mod pack;
mod plain;
mod planes;
mod resize;
mod selection;
mod zip;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use pack::{PackOptions, Packed, pack};
pub use plain::{ImageFiles, read_image};
pub use resize::Filter;

use archive::Archive;
use decode::Handled;
use decoding::Decoding;
use folder::Folder;
use selection::Selection;
use zip::Zip;

use super::file_name;
use crate::error::DataError;
use crate::file_error::FileError;
use crate::source::Source;
use crate::splits::{Divided, MIN_IMAGES, Splits};

/// Bytes of all image files together: twice what the largest set has as pixels of a byte.
const MAX_TOTAL_BYTES: u64 = 1 << 30;

/// The images of a ZIP archive (PNG, JPEG, WebP, TIFF, BMP), grey or RGB of 8 or 16 bits and all of one size. Image `i`
/// in the order of names is held out when `i % 5 == 4`; level `v` becomes `v / 127.5 - 1`. Nothing is extracted.
///
/// Images are turned as EXIF says, transparent ones laid on white, and grey ones among coloured ones made coloured;
/// animations, several pages, CMYK and floating-point pixels are refused.
///
/// Classes come from `dataset.json` (`{"labels": [[name, class], ...]}`, or null for none) where there is one,
/// else from the folders, if the images lie in several: each is a class.
///
/// Up to 2^20 files and 2 GiB of images as `f32`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageArchive {
    /// The archive; a relative path starts from the working directory.
    pub path: PathBuf,
}

/// The same from a folder and the folders in it; links to folders are followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageFolder {
    /// The folder; a relative path starts from the working directory.
    pub path: PathBuf,
}

impl Source for ImageArchive {
    fn name(&self) -> String {
        file_name(&self.path)
    }

    fn load(&self) -> Result<Splits, DataError> {
        read(&self.path, &self.name(), &mut Zip::open(&self.path)?)
    }
}

impl Source for ImageFolder {
    fn name(&self) -> String {
        file_name(&self.path)
    }

    fn load(&self) -> Result<Splits, DataError> {
        read(&self.path, &self.name(), &mut Folder::open(&self.path)?)
    }
}

fn read(path: &Path, set: &str, archive: &mut dyn Archive) -> Result<Splits, DataError> {
    let Selection {
        images,
        label_files,
        skipped,
    } = Selection::of(archive.list()?);
    if images.len() < MIN_IMAGES {
        let error = FileError::TooFew {
            path: path.to_path_buf(),
            what: "images",
            num: images.len(),
            skipped,
        };
        return Err(error.into());
    }
    let names: Vec<&str> = images.iter().map(|image| image.name.as_str()).collect();
    let (labels, remarks) = classes::find(path, archive, &label_files, &names)?;
    let first = decode::header(path, names[0], &archive.read(&images[0])?)?;
    FileError::check_size(path, names.len(), first.shape())?;
    check_bytes(path, images.iter().map(|image| image.size))?;
    let mut divided = Divided::new(set, first.shape(), names.len());
    let mut decoding = Decoding {
        path,
        first: (names[0], first),
        handled: Handled::default(),
    };
    decoding.all(archive, &images, |pixels| {
        divided.next_image().extend(pixels);
    })?;
    let handled = decoding.handled;
    let mut splits = divided.finish(&labels)?;
    splits.found.skipped = skipped;
    splits.found.remarks.extend(handled.remarks());
    splits.found.remarks.extend(remarks);
    Ok(splits)
}

/// Refuses files that are far larger than their images can be, before they are read: an archive of a few KiB can
/// say that it holds a TiB.
fn check_bytes(path: &Path, sizes: impl Iterator<Item = u64>) -> Result<(), FileError> {
    let total = sizes.fold(0, u64::saturating_add);
    if total <= MAX_TOTAL_BYTES {
        return Ok(());
    }
    let reason = format!(
        "its image files have {} MiB together, up to {} MiB are accepted",
        total.div_ceil(1 << 20),
        MAX_TOTAL_BYTES >> 20
    );
    Err(FileError::file(path, reason))
}
