//! Images as they are: no division into parts, no classes.

use std::path::Path;

use candle_core::{Device, Tensor};

use super::super::file_name;
use super::archive::Archive;
use super::check_bytes;
use super::decode::{self, Handled};
use super::decoding::Decoding;
use super::folder::Folder;
use super::selection::Selection;
use super::zip::Zip;
use crate::error::DataError;
use crate::file_error::{FileError, kind_of_file};
use crate::file_kind::FileKind;
use crate::found::Skipped;

/// The images of a folder, an archive or a file, all of one size.
#[derive(Debug)]
pub struct ImageFiles {
    /// The name of each within its folder or archive, with `/` between its parts, in the order of their bytes.
    pub names: Vec<String>,
    /// `[n, C, H, W]` in `[-1, 1]`.
    pub images: Tensor,
    /// What was passed over.
    pub skipped: Vec<Skipped>,
    /// What was done to images to make them alike, a clause each.
    pub remarks: Vec<String>,
}

impl ImageFiles {
    /// Reads the images of `path`: a folder with the folders in it, a ZIP archive, or a file that is one image.
    ///
    /// # Errors
    ///
    /// A place that cannot be read, no image in it, and images that are not grey or RGB or of different sizes.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        if path.is_dir() {
            return read(path, &mut Folder::open(path)?);
        }
        const IMAGES: [FileKind; 5] = [
            FileKind::PNG,
            FileKind::JPEG,
            FileKind::WEBP,
            FileKind::TIFF,
            FileKind::BMP,
        ];
        match kind_of_file(path)? {
            Some(kind) if IMAGES.contains(&kind) => Ok(Self {
                names: vec![file_name(path)],
                images: read_image(path)?.unsqueeze(0)?,
                skipped: Vec::new(),
                remarks: Vec::new(),
            }),
            // Some archives begin with a program that unpacks them.
            Some(FileKind::ZIP) | None => read(path, &mut Zip::open(path)?),
            Some(kind) => {
                let is = kind.what();
                let reason = format!(
                    "is {is}: images are a folder, a ZIP archive or a file of PNG, JPEG, WebP, TIFF or BMP"
                );
                Err(FileError::file(path, reason).into())
            }
        }
    }
}

fn read(path: &Path, archive: &mut dyn Archive) -> Result<ImageFiles, DataError> {
    let Selection {
        images, skipped, ..
    } = Selection::of(archive.list()?);
    let Some(first) = images.first() else {
        return Err(FileError::file(path, "holds no image").into());
    };
    let header = decode::header(path, &first.name, &archive.read(first)?)?;
    FileError::check_size(path, images.len(), header.shape())?;
    check_bytes(path, &images, header)?;
    let mut pixels = Vec::new();
    let mut decoding = Decoding {
        path,
        first: (&first.name, header),
        handled: Handled::default(),
    };
    decoding.all(archive, &images, |image, _| pixels.extend(image))?;
    let handled = decoding.handled;
    let [channels, height, width] = header.shape();
    let shape = (images.len(), channels, height, width);
    Ok(ImageFiles {
        images: Tensor::from_vec(pixels, shape, &Device::Cpu)?,
        names: images.into_iter().map(|image| image.name).collect(),
        skipped,
        remarks: handled.remarks(),
    })
}

/// Reads one image, `[C, H, W]` in `[-1, 1]`.
///
/// # Errors
///
/// A file that cannot be read or is no image that [`ImageFiles`] takes.
pub fn read_image(path: &Path) -> Result<Tensor, DataError> {
    read_one(path).map(|(image, _)| image)
}

/// As [`read_image`], of an image in which a transparent pixel would mean nothing.
///
/// # Errors
///
/// As [`read_image`], and an image with transparent pixels.
pub fn read_opaque_image(path: &Path) -> Result<Tensor, DataError> {
    match read_one(path)? {
        (_, handled) if handled.has_transparency() => {
            let reason = "has transparent pixels, which are neither black nor white: save it without transparency";
            Err(FileError::file(path, reason).into())
        }
        (image, _) => Ok(image),
    }
}

fn read_one(path: &Path) -> Result<(Tensor, Handled), DataError> {
    let bytes = std::fs::read(path).map_err(FileError::io(path))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let folder = path.parent().unwrap_or(path);
    let header = decode::header(folder, &name, &bytes)?;
    let mut pixels = Vec::new();
    let mut handled = Handled::default();
    let first = (&*name, header);
    decode::decode(folder, &name, &bytes, first, &mut pixels, &mut handled)?;
    let image = Tensor::from_vec(pixels, &header.shape(), &Device::Cpu)?;
    Ok((image, handled))
}
