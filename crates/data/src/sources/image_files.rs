//! Image sets in files: images in a ZIP archive or a folder, with their classes in a `dataset.json`, the layout
//! of the published EDM data sets, or by the folders that they lie in.

mod archive;
mod classes;
mod decode;
mod decoding;
mod folder;
mod format;
mod in_place;
mod label_file;
mod pack;
mod pack_set;
mod parquet;
#[cfg(feature = "datasets")]
mod parquet_labels;
mod plain;
mod planes;
mod resize;
mod selection;
mod zip;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use pack::{PackOptions, Packed, pack};
pub use pack_set::pack_set;
pub use parquet::ParquetFiles;
pub use plain::{ImageFiles, read_image, read_opaque_image};
pub use resize::Filter;

use archive::{Archive, Entry};
use decode::{Handled, Header};
use decoding::Decoding;
use folder::Folder;
use selection::Selection;
use zip::Zip;

use super::file_name;
use crate::error::DataError;
use crate::file_error::FileError;
use crate::labels::Labels;
use crate::levels::Levels;
use crate::source::Source;
use crate::splits::{self, Divided, MIN_IMAGES, Splits};
use crate::storage::{Room, Stored};

/// Bytes of all image files together that are accepted whatever their pixels take.
const MAX_OF_FEW: u128 = 1 << 30;

/// Bytes of a file beside its pixels: profiles, previews and the like.
const MAX_AROUND: u128 = 64 << 10;

/// The images of a ZIP archive (PNG, JPEG, WebP, TIFF, BMP), grey or RGB of 8 or 16 bits and all of one size. Image `i`
/// in the order of names is held out when `i % 5 == 4`; level `v` becomes `v / 127.5 - 1`. Nothing is extracted.
///
/// Images are turned as EXIF says, transparent ones laid on white, and grey ones among coloured ones made coloured;
/// animations, several pages, CMYK and floating-point pixels are refused.
///
/// Classes come from `dataset.json` (`{"labels": [[name, class], ...]}`, or null for none) where there is one,
/// else from the folders, if the images lie in several: each is a class.
///
/// Up to 2^20 files. Images of more than 1 GiB as levels stay where they are and are decoded when they are needed.
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
        read(
            &self.path,
            &self.name(),
            Box::new(Zip::open(&self.path)?),
            Room::USUAL,
        )
    }
}

impl Source for ImageFolder {
    fn name(&self) -> String {
        file_name(&self.path)
    }

    fn load(&self) -> Result<Splits, DataError> {
        read(
            &self.path,
            &self.name(),
            Box::new(Folder::open(&self.path)?),
            Room::USUAL,
        )
    }
}

fn read(
    path: &Path,
    set: &str,
    mut archive: Box<dyn Archive>,
    room: Room,
) -> Result<Splits, DataError> {
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
    let all_names = names.iter().map(|name| name.to_string()).collect();
    let (labels, remarks) = classes::find(path, archive.as_mut(), &label_files, &names)?;
    let first = decode::header(path, names[0], &archive.read(&images[0])?)?;
    check_bytes(path, &images, first)?;
    let mut splits = match in_place::bytes_of_levels(images.len(), first) <= room.levels {
        true => {
            let images = (images.as_slice(), first);
            in_memory((path, set), (archive.as_mut(), room), images, &labels)?
        }
        false => {
            let held = (images.len(), first.shape());
            let files = in_place::InPlace::checked(path, archive, images, first)?;
            let files: Arc<dyn Stored> = Arc::new(files);
            splits::in_files(set, &files, held, &labels)?
        }
    };
    splits.names = Some(all_names);
    splits.found.skipped = skipped;
    splits.found.remarks.extend(remarks);
    Ok(splits)
}

/// Decodes all images into memory.
fn in_memory(
    (path, set): (&Path, &str),
    (archive, room): (&mut dyn Archive, Room),
    (images, first): (&[Entry], Header),
    labels: &Labels,
) -> Result<Splits, DataError> {
    let mut divided =
        Divided::of_levels(set, first.shape(), (images.len(), room), Levels::of_images);
    let mut decoding = Decoding {
        path,
        first: (&images[0].name, first),
        handled: Handled::default(),
    };
    decoding.all(archive, images, |pixels, depth| {
        divided.push(&pixels, depth);
    })?;
    let handled = decoding.handled;
    let mut splits = divided.finish(labels)?;
    splits.found.remarks.extend(handled.remarks());
    Ok(splits)
}

/// Refuses files that are far larger than their images can be, before they are read: an archive of a few KiB can
/// say that it holds a TiB.
fn check_bytes(path: &Path, images: &[Entry], first: Header) -> Result<(), FileError> {
    let total: u128 = images.iter().map(|image| u128::from(image.size)).sum();
    let pixels = in_place::bytes_of_levels(images.len(), first);
    let accepted = 2 * pixels + MAX_AROUND * images.len() as u128;
    let accepted = accepted.max(MAX_OF_FEW);
    if total <= accepted {
        return Ok(());
    }
    let reason = format!(
        "its image files have {} MiB together, up to {} MiB are accepted",
        total.div_ceil(1 << 20),
        accepted >> 20
    );
    Err(FileError::file(path, reason))
}
