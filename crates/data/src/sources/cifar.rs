//! The binary versions of CIFAR-10 and CIFAR-100, from a folder: <https://www.cs.toronto.edu/~kriz/cifar.html>.

use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::file_name;
use crate::dataset::Dataset;
use crate::error::DataError;
use crate::file_error::FileError;
use crate::labels::ClassLabels;
use crate::source::Source;
use crate::splits::{MIN_IMAGES, Splits};

/// Red, green and blue plane of an image.
const PIXELS: usize = 3 * 32 * 32;
/// Bytes of one file: five times those of the largest.
const MAX_BYTES: u64 = 1 << 30;

/// The folder `cifar-10-batches-bin` or `cifar-100-binary`, 3 x 32 x 32, 10 or 100 classes; its own test images are held
/// out. Of CIFAR-100 the fine classes are taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CifarFolder {
    /// The folder; a relative path starts from the working directory.
    pub path: PathBuf,
}

/// A version of the set.
struct Version {
    train: &'static [&'static str],
    test: &'static str,
    names: &'static str,
    classes: usize,
    /// Bytes before an image, the last of which is its class.
    labels: usize,
}

const VERSIONS: [Version; 2] = [
    Version {
        train: &[
            "data_batch_1.bin",
            "data_batch_2.bin",
            "data_batch_3.bin",
            "data_batch_4.bin",
            "data_batch_5.bin",
        ],
        test: "test_batch.bin",
        names: "batches.meta.txt",
        classes: 10,
        labels: 1,
    },
    Version {
        train: &["train.bin"],
        test: "test.bin",
        names: "fine_label_names.txt",
        classes: 100,
        labels: 2,
    },
];

impl Source for CifarFolder {
    fn name(&self) -> String {
        file_name(&self.path)
    }

    fn load(&self) -> Result<Splits, DataError> {
        let version = version(&self.path)?;
        let names = version.class_names(&self.path);
        let read = |part: &str, files: &[&str]| {
            let (mut pixels, mut classes) = (Vec::new(), Vec::new());
            for file in files {
                version.read(&self.path.join(file), &mut pixels, &mut classes)?;
            }
            let num = classes.len();
            let images = Tensor::from_vec(pixels, (num, 3, 32, 32), &Device::Cpu)?;
            let classes = match &names {
                Some(names) => ClassLabels::named(classes, names.clone()),
                None => ClassLabels::new(classes, version.classes),
            };
            Dataset::new(format!("{}/{part}", self.name()), &images, Some(classes))
        };
        let train = read("train", version.train)?;
        let held_out = read("held_out", &[version.test])?;
        Ok(Splits::new(self.name(), train, held_out))
    }
}

impl Version {
    /// The names of the classes, where the file that holds them is there and whole.
    fn class_names(&self, folder: &Path) -> Option<Vec<String>> {
        let text = fs::read_to_string(folder.join(self.names)).ok()?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let names: Vec<String> = lines.map(str::to_string).collect();
        (names.len() == self.classes).then_some(names)
    }

    /// Appends the images of a file, in `[-1, 1]`, and their classes.
    fn read(
        &self,
        path: &Path,
        pixels: &mut Vec<f32>,
        classes: &mut Vec<u32>,
    ) -> Result<(), FileError> {
        let refuse = |reason: String| FileError::file(path, reason);
        let len = fs::metadata(path).map_err(FileError::io(path))?.len();
        let row = self.labels + PIXELS;
        if len % row as u64 != 0 || len < (MIN_IMAGES * row) as u64 || len > MAX_BYTES {
            let reason = format!(
                "has {len} bytes, which are not {MIN_IMAGES} or more images of {row}: fetch it again"
            );
            return Err(refuse(reason));
        }
        let bytes = fs::read(path).map_err(FileError::io(path))?;
        for (image, row) in bytes.chunks_exact(row).enumerate() {
            let (labels, levels) = row.split_at(self.labels);
            let class = u32::from(labels[self.labels - 1]);
            if class as usize >= self.classes {
                let accepted = self.classes;
                return Err(refuse(format!(
                    "label of image {image} must be in 0..{accepted}, got {class}: fetch it again"
                )));
            }
            classes.push(class);
            pixels.extend(levels.iter().map(|&v| f32::from(v) / 127.5 - 1.0));
        }
        Ok(())
    }
}

/// Whether a folder holds one of the binary versions.
pub(super) fn is_cifar(folder: &Path) -> bool {
    VERSIONS.iter().any(|version| {
        let first = version.train.first();
        first.is_some_and(|file| folder.join(file).is_file()) && folder.join(version.test).is_file()
    })
}

fn version(folder: &Path) -> Result<&'static Version, FileError> {
    fs::read_dir(folder).map_err(FileError::io(folder))?;
    let there = |version: &&Version| folder.join(version.train[0]).is_file();
    VERSIONS.iter().find(there).ok_or_else(|| {
        let pickled = ["data_batch_1", "train"].iter();
        let pickled = pickled.map(|file| folder.join(file));
        let reason = if pickled.into_iter().any(|file| file.is_file()) {
            "holds the Python version: fetch the binary version (cifar-10-binary.tar.gz, cifar-100-binary.tar.gz), \
             or save its arrays as .npz"
        } else {
            "holds neither data_batch_1.bin (CIFAR-10) nor train.bin (CIFAR-100)"
        };
        FileError::file(folder, reason)
    })
}
