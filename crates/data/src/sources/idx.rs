//! Files of MNIST's own format (IDX), packed with gzip or not: images in one, their classes in another.
//!
//! The format: <https://yann.lecun.com/exdb/mnist/>.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;
use serde::{Deserialize, Serialize};

use super::array::{Array, Element, Place, Reading, classes, load};
use super::file_name;
use crate::error::DataError;
use crate::file_error::FileError;
use crate::labels::Labels;
use crate::source::Source;
use crate::splits::Splits;

/// Grey images of bytes, `[num, h, w]`. Image `i` is held out when `i % 5 == 4`.
///
/// The classes lie in the file beside it that has `labels-idx1` (or `labels.idx1`) in its name for `images-idx3`, packed
/// or not, if there is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdxFile {
    /// The images, such as `train-images-idx3-ubyte.gz`; a relative path starts from the working directory.
    pub path: PathBuf,
    /// The classes, where they lie elsewhere.
    #[serde(default)]
    pub labels: Option<PathBuf>,
}

impl Source for IdxFile {
    fn name(&self) -> String {
        file_name(&self.path)
    }

    fn load(&self) -> Result<Splits, DataError> {
        let images = open(&self.path)?;
        if images.shape.len() != 3 {
            let reason = format!(
                "has {} axes, images have three, [num, h, w]",
                images.shape.len()
            );
            return Err(images.refuse(reason).into());
        }
        let beside = self.labels.clone().or_else(|| labels_beside(&self.path));
        let labels = match &beside {
            None => Labels::Absent,
            Some(path) => Labels::Classes(classes(open(path)?, images.num())?),
        };
        let reading = Reading {
            range: None,
            layout: None,
        };
        let mut splits = load(self.name(), images, reading, &labels)?;
        let read = beside.filter(|_| self.labels.is_none());
        let remark = read.map(|path| format!("classes from {}", file_name(&path)));
        splits.found.remarks.extend(remark);
        Ok(splits)
    }
}

/// The file of labels that lies beside a file of images.
fn labels_beside(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let plain = name.strip_suffix(".gz").unwrap_or(name);
    let pairs = [
        ("images-idx3", "labels-idx1"),
        ("images.idx3", "labels.idx1"),
    ];
    let found = pairs.iter().find(|(images, _)| plain.contains(images));
    let labels = found.map(|(images, labels)| plain.replace(images, labels))?;
    let places = [labels.clone(), format!("{labels}.gz")].map(|name| path.with_file_name(name));
    places.into_iter().find(|place| place.is_file())
}

/// Whether `head`, the first bytes of a file that is not packed, are those of an array of bytes.
pub(super) fn is_idx(head: &[u8]) -> bool {
    matches!(head, [0, 0, 8, 1..=4, ..])
}

/// The first four bytes of a file, unpacked.
pub(super) fn head(path: &Path) -> Result<Vec<u8>, FileError> {
    let mut head = Vec::new();
    // What cannot be unpacked is not such a file.
    let _ = unpacked(path)?.0.take(4).read_to_end(&mut head);
    Ok(head)
}

/// What reads the file at `path`, and its bytes if it is not packed.
pub(super) fn unpacked(path: &Path) -> Result<(Box<dyn Read>, Option<u64>), FileError> {
    let file = File::open(path).map_err(FileError::io(path))?;
    let len = file.metadata().map_err(FileError::io(path))?.len();
    let mut file = BufReader::new(file);
    let start = file.fill_buf().map_err(FileError::io(path))?;
    if start.starts_with(&[0x1f, 0x8b]) {
        return Ok((Box::new(GzDecoder::new(file)), None));
    }
    Ok((Box::new(file), Some(len)))
}

fn open(path: &Path) -> Result<Array<'static>, FileError> {
    let place = Place::file(path);
    let (mut reader, len) = unpacked(path)?;
    let mut four = || {
        let mut bytes = [0; 4];
        let read = reader.read_exact(&mut bytes);
        read.map_err(|_| place.refuse("is not an IDX file, or is cut off: copy it again"))?;
        Ok::<_, FileError>(bytes)
    };
    let start = four()?;
    let [0, 0, kind, axes @ 1..=4] = start else {
        return Err(place.refuse("is not an IDX file (MNIST's own format)"));
    };
    if kind != 8 {
        let reason = "holds values that are not unsigned bytes: save them as .npy";
        return Err(place.refuse(reason));
    }
    let mut shape = Vec::new();
    for _ in 0..axes {
        shape.push(u32::from_be_bytes(four()?) as usize);
    }
    let start = 4 + 4 * u64::from(axes);
    let held = len.map(|len| len.saturating_sub(start));
    let array = Array::new(place, reader, Element::U8, shape, held)?;
    Ok(match held {
        Some(_) => array.starting_at(start),
        None => array,
    })
}
