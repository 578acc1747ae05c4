//! Image sets in files: PNG images and a `dataset.json` in a ZIP archive or a folder, the layout of
//! the published EDM data sets.

mod archive;
mod error;
mod labels;
mod png;

use std::path::Path;

use candle_core::{Device, Tensor};

use archive::{Archive, Folder, Zip};
pub use error::ImageFilesError;

use crate::dataset::{ClassLabels, DataError, Dataset};
use crate::source::Splits;

/// The largest set, as `f32` in host memory. While it is loaded and checked, the larger part exists
/// twice.
const MAX_BYTES: u64 = 2 << 30;
/// Fewer images would leave nothing to hold out.
const MIN_IMAGES: usize = 5;

/// Every fifth image in the order of names, from the fifth on, is held out.
fn is_held_out(index: usize) -> bool {
    index % 5 == 4
}

/// The images of a ZIP archive.
pub(crate) fn from_zip(path: &Path) -> Result<Splits, DataError> {
    read(path, &mut Zip::open(path)?)
}

/// The images of a folder and the folders in it.
pub(crate) fn from_folder(path: &Path) -> Result<Splits, DataError> {
    read(path, &mut Folder::open(path)?)
}

/// Pixels and classes of one part, as they are gathered.
#[derive(Default)]
struct Part {
    pixels: Vec<f32>,
    classes: Vec<u32>,
    num_images: usize,
}

fn read(path: &Path, archive: &mut dyn Archive) -> Result<Splits, DataError> {
    let names = archive.image_names()?;
    if names.len() < MIN_IMAGES {
        let num = names.len();
        return Err(ImageFilesError::TooFew {
            path: path.to_path_buf(),
            num,
        }
        .into());
    }
    let labels = match archive.read_labels()? {
        Some(json) => labels::parse(path, &json, &names)?,
        None => None,
    };
    let first = png::header(path, &names[0], &archive.read(&names[0])?)?;
    check_size(path, names.len(), first.shape())?;
    let (mut train, mut held_out) = (Part::default(), Part::default());
    for (index, name) in names.iter().enumerate() {
        let part = if is_held_out(index) {
            &mut held_out
        } else {
            &mut train
        };
        let bytes = archive.read(name)?;
        png::decode(path, name, &bytes, (&names[0], first), &mut part.pixels)?;
        part.num_images += 1;
        if let Some(labels) = &labels {
            part.classes.push(labels.values[index]);
        }
    }
    let num_classes = labels.map(|labels| labels.num_classes);
    let name = path.file_name().unwrap_or(path.as_os_str());
    let name = name.to_string_lossy();
    Ok(Splits {
        train: train.into_dataset(format!("{name}/train"), first.shape(), num_classes)?,
        held_out: held_out.into_dataset(format!("{name}/held_out"), first.shape(), num_classes)?,
    })
}

/// Refuses what would not fit into memory, before anything is decoded.
fn check_size(path: &Path, num: usize, shape: [usize; 3]) -> Result<(), ImageFilesError> {
    // No overflow: a side has up to 2^12 pixels, and there are up to 2^20 images.
    let needed = 4 * num as u64 * shape.iter().product::<usize>() as u64;
    if needed <= MAX_BYTES {
        return Ok(());
    }
    Err(ImageFilesError::TooLarge {
        path: path.to_path_buf(),
        num,
        shape,
        needed_mib: needed.div_ceil(1 << 20),
        accepted_mib: MAX_BYTES >> 20,
    })
}

impl Part {
    fn into_dataset(
        self,
        name: String,
        shape: [usize; 3],
        num_classes: Option<usize>,
    ) -> Result<Dataset, DataError> {
        let [channels, height, width] = shape;
        let shape = (self.num_images, channels, height, width);
        let images = Tensor::from_vec(self.pixels, shape, &Device::Cpu)?;
        let labels = num_classes.map(|num_classes| ClassLabels {
            values: self.classes,
            num_classes,
        });
        Dataset::new(name, &images, labels)
    }
}
