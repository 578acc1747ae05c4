//! A folder or archive of images of any sizes as a ZIP archive of images of one size, in the layout of the published EDM
//! data sets.

use std::io::{Cursor, Write};
use std::path::Path;

use ::zip::write::{SimpleFileOptions, ZipWriter};
use ::zip::{CompressionMethod, DateTime};
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use serde_json::json;

use super::archive::{Archive, Entry};
use super::classes;
use super::decode::{Bounds, Handled, ImageFile};
use super::folder::Folder;
use super::label_file;
use super::resize::{Filter, Plane};
use super::selection::Selection;
use super::zip::Zip;
use crate::error::DataError;
use crate::file_error::FileError;
use crate::found::Skipped;
use crate::labels::{ClassLabels, Labels};
use crate::splits::MIN_IMAGES;

/// Pixels along a side of the result.
const MAX_SIDE: usize = 4096;

/// How images are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackOptions {
    /// Height and width of every image; that of all of them if none is named.
    pub size: Option<[usize; 2]>,
    /// How images are resized.
    pub filter: Filter,
    /// Whether files that cannot be read are passed over rather than refused.
    pub skip_unreadable: bool,
}

/// Images that were packed.
#[derive(Clone, Debug)]
pub struct Packed {
    /// The archive.
    pub bytes: Vec<u8>,
    /// Images in it.
    pub num_images: usize,
    /// The shape of each, `[C, H, W]`.
    pub shape: [usize; 3],
    /// The number of classes, 0 without any.
    pub num_classes: usize,
    /// What was passed over.
    pub skipped: Vec<Skipped>,
    /// What was done to images, and what else there is to know, a clause each.
    pub remarks: Vec<String>,
}

/// Packs the images of the folder or archive at `path`: the largest part in the middle that has the shape of the result,
/// resized, as 8-bit PNG `00000/img00000000.png` and so on in the order of their names, with their classes in
/// `dataset.json`. `progress` is told of each image, and of how many there are.
///
/// A pixel of the result is rounded once. Images are coloured if any of them is.
///
/// # Errors
///
/// A place that cannot be read, fewer images than a data set needs, images that cannot be read, and images of several
/// sizes where no size is named.
pub fn pack(
    path: &Path,
    options: &PackOptions,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Packed, DataError> {
    if path.is_dir() {
        return Packing::of(path, Folder::open(path)?, options)?.all(progress);
    }
    Packing::of(path, Zip::open(path)?, options)?.all(progress)
}

/// A set that is being packed.
struct Packing<'p, A> {
    path: &'p Path,
    archive: A,
    options: PackOptions,
    images: Vec<Entry>,
    labels: Labels,
    shape: [usize; 3],
    unreadable: Vec<String>,
    skipped: Vec<Skipped>,
    remarks: Vec<String>,
}

impl<'p, A: Archive> Packing<'p, A> {
    /// Lists the images and reads their headers.
    fn of(path: &'p Path, mut archive: A, options: &PackOptions) -> Result<Self, DataError> {
        let Selection {
            images,
            label_files,
            skipped,
        } = Selection::of(archive.list()?);
        let names: Vec<&str> = images.iter().map(|image| image.name.as_str()).collect();
        let (labels, remarks) = match names.is_empty() {
            true => (Labels::Absent, Vec::new()),
            false => classes::find(path, &mut archive, &label_files, &names)?,
        };
        let mut packing = Self {
            path,
            archive,
            options: *options,
            images,
            labels,
            shape: [1, 0, 0],
            unreadable: Vec::new(),
            skipped,
            remarks,
        };
        packing.check_headers()?;
        Ok(packing)
    }

    /// Settles the shape of the result, and which images it has.
    fn check_headers(&mut self) -> Result<(), FileError> {
        let mut kept = Vec::new();
        let mut first: Option<(usize, [usize; 2])> = None;
        for index in 0..self.images.len() {
            let shape = match self.header(index) {
                Ok(shape) => shape,
                Err(error) => {
                    self.pass_over(index, error)?;
                    continue;
                }
            };
            self.shape[0] = self.shape[0].max(shape[0]);
            let size = [shape[1], shape[2]];
            let (first, want) = *first.get_or_insert((index, size));
            if self.options.size.is_none() && size != want {
                let reason = format!(
                    "is {} x {}, image {} is {} x {}: name the size that all are to have",
                    size[1], size[0], self.images[first].name, want[1], want[0]
                );
                return Err(FileError::entry(
                    self.path,
                    &self.images[index].name,
                    reason,
                ));
            }
            kept.push(index);
        }
        if kept.len() < MIN_IMAGES {
            return Err(FileError::TooFew {
                path: self.path.to_path_buf(),
                what: "images",
                num: kept.len(),
                skipped: std::mem::take(&mut self.skipped),
            });
        }
        let size = self.options.size.or(first.map(|(_, size)| size));
        [self.shape[1], self.shape[2]] = size.unwrap_or_default();
        if self.shape[1..]
            .iter()
            .any(|side| !(1..=MAX_SIDE).contains(side))
        {
            let [_, height, width] = self.shape;
            let reason =
                format!("size must be from 1 to {MAX_SIDE} pixels a side, got {width} x {height}");
            return Err(FileError::file(self.path, reason));
        }
        FileError::check_size(self.path, kept.len(), self.shape)?;
        self.labels = self.labels.select(&kept);
        let mut kept = kept.into_iter().peekable();
        let mut index = 0;
        self.images.retain(|_| {
            index += 1;
            kept.next_if_eq(&(index - 1)).is_some()
        });
        Ok(())
    }

    fn header(&mut self, index: usize) -> Result<[usize; 3], FileError> {
        let image = &self.images[index];
        let bytes = self.archive.read(image)?;
        let file = ImageFile::open(self.path, &image.name, &bytes, Bounds::PHOTO)?;
        Ok(file.header.shape())
    }

    /// Passes over an image that cannot be read, if that was asked for.
    fn pass_over(&mut self, index: usize, error: FileError) -> Result<(), FileError> {
        if !self.options.skip_unreadable {
            return Err(error);
        }
        self.unreadable.push(self.images[index].name.clone());
        Ok(())
    }

    fn all(mut self, progress: &mut dyn FnMut(usize, usize)) -> Result<Packed, DataError> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let (mut handled, mut kept) = (Handled::default(), Vec::new());
        let total = self.images.len();
        for index in 0..total {
            match self.image(index, &mut handled) {
                Ok(png) => {
                    add(&mut zip, &name_of(kept.len()), &png).map_err(|e| self.unwritten(&e))?;
                    kept.push(index);
                }
                Err(error) => self.pass_over(index, error)?,
            }
            progress(index + 1, total);
        }
        let labels = self.labels.select(&kept);
        let json = dataset_json(labels.classes(), kept.len());
        add(&mut zip, label_file::NAME, json.as_bytes()).map_err(|e| self.unwritten(&e))?;
        let bytes = zip.finish().map_err(|e| self.unwritten(&e))?.into_inner();
        if let Some(example) = self.unreadable.first() {
            self.skipped.push(Skipped {
                one: "image".to_string(),
                why: "that cannot be read",
                count: self.unreadable.len(),
                example: example.clone(),
            });
        }
        if let Labels::Unusable(reason) = &labels {
            self.remarks
                .push(format!("labels are not packed: {reason}"));
        }
        let remarks = handled.remarks().into_iter().chain(self.remarks);
        Ok(Packed {
            bytes,
            num_images: kept.len(),
            shape: self.shape,
            num_classes: labels.classes().map_or(0, ClassLabels::num_classes),
            skipped: self.skipped,
            remarks: remarks.collect(),
        })
    }

    /// An image as a PNG file.
    fn image(&mut self, index: usize, handled: &mut Handled) -> Result<Vec<u8>, FileError> {
        let entry = &self.images[index];
        let bytes = self.archive.read(entry)?;
        let file = ImageFile::open(self.path, &entry.name, &bytes, Bounds::PHOTO)?;
        let [_, height, width] = file.header.shape();
        let [channels, rows, columns] = self.shape;
        let mut values = Vec::new();
        file.append(channels, &mut values, handled)?;
        let size = [rows, columns];
        let planes: Vec<Plane> = values
            .chunks_exact(height * width)
            .map(|plane| {
                let values = plane.to_vec();
                let plane = Plane {
                    height,
                    width,
                    values,
                };
                match [height, width] == size {
                    true => plane,
                    false => plane.cropped(size).resized(size, self.options.filter),
                }
            })
            .collect();
        let level = |value: f32| (127.5 * (value + 1.0)).round() as u8;
        let pixel = |at: usize| planes.iter().map(move |plane| level(plane.values[at]));
        let levels: Vec<u8> = (0..rows * columns).flat_map(pixel).collect();
        let colour = match channels {
            1 => ExtendedColorType::L8,
            _ => ExtendedColorType::Rgb8,
        };
        let mut png = Vec::new();
        let written = PngEncoder::new(&mut png);
        let written = written.write_image(&levels, columns as u32, rows as u32, colour);
        written.map_err(|e| {
            FileError::entry(self.path, &entry.name, format!("cannot be written: {e}"))
        })?;
        Ok(png)
    }

    fn unwritten(&self, error: &::zip::result::ZipError) -> FileError {
        FileError::file(self.path, format!("cannot be packed: {error}"))
    }
}

/// The name of image `index`: a thousand to a folder.
pub(super) fn name_of(index: usize) -> String {
    format!("{:05}/img{index:08}.png", index / 1000)
}

/// Adds a file that is packed as well as it can be, with no time of its own: the same images give the same archive.
pub(super) fn add(
    zip: &mut ZipWriter<Cursor<Vec<u8>>>,
    name: &str,
    bytes: &[u8],
) -> ::zip::result::ZipResult<()> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default());
    zip.start_file(name, options)?;
    zip.write_all(bytes)?;
    Ok(())
}

/// `dataset.json` of `num` images; the names of the classes stand where other programs do not look.
pub(super) fn dataset_json(classes: Option<&ClassLabels>, num: usize) -> String {
    let Some(classes) = classes else {
        return json!({ "labels": null }).to_string();
    };
    let labels = classes.values().iter().zip(0..num);
    let labels: Vec<_> = labels
        .map(|(class, index)| json!([name_of(index), class]))
        .collect();
    match classes.names() {
        [] => json!({ "labels": labels }).to_string(),
        names => json!({ "labels": labels, "class_names": names }).to_string(),
    }
}
