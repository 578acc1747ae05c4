//! CIFAR-10 and CIFAR-100 as they are downloaded, or unpacked: <https://www.cs.toronto.edu/~kriz/cifar.html>.

mod files;
mod python;
mod versions;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::file_name;
use crate::dataset::Dataset;
use crate::error::DataError;
use crate::labels::{ClassLabels, Labels};
use crate::levels::Levels;
use crate::source::Source;
use crate::splits::Splits;

use files::Files;
use versions::Version;

/// Red, green and blue plane of an image.
const PIXELS: usize = 3 * 32 * 32;

/// The binary or the Python version, an archive (`cifar-10-python.tar.gz`) or its unpacked folder (`cifar-10-batches-py`):
/// 3 x 32 x 32, 10 or 100 classes; its own test images are held out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CifarFiles {
    /// The folder or archive; a relative path starts from the working directory.
    pub path: PathBuf,
    /// Which classes of CIFAR-100 are taken, the fine ones if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<CifarLabels>,
}

/// Classes of CIFAR-100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CifarLabels {
    /// 100 classes.
    Fine,
    /// 20 groups of five of them each.
    Coarse,
}

impl Source for CifarFiles {
    fn name(&self) -> String {
        file_name(&self.path)
    }

    fn load(&self) -> Result<Splits, DataError> {
        let mut files = Files::open(&self.path)?;
        let version = Version::of(&files)?;
        let classes = version.classes(&files, self.labels)?;
        let names = version.class_names(&mut files, classes);
        let mut read = |part: &str, names_of_files: &[&str]| {
            let (mut levels, mut values) = (Levels::of_images(0), Vec::new());
            for file in names_of_files {
                let batch = version.read(&mut files, file, classes)?;
                values.extend(batch.classes);
                levels.append_bytes(&batch.levels);
            }
            let labels = match &names {
                Some(names) => ClassLabels::named(values, names.clone()),
                None => ClassLabels::new(values, classes.num),
            };
            let name = format!("{}/{part}", self.name());
            Dataset::of_levels(name, levels, [3, 32, 32], Labels::Classes(labels))
        };
        let train = read("train", version.train)?;
        let held_out = read("held_out", &[version.test])?;
        Ok(Splits::new(self.name(), train, held_out))
    }
}

/// The images of one file, row after row of their red, green and blue planes, and their classes.
struct Batch {
    levels: Vec<u8>,
    classes: Vec<u32>,
}

/// Whether a folder holds one of the versions.
pub(super) fn is_cifar(folder: &Path) -> bool {
    versions::VERSIONS.iter().any(|version| {
        let all = [version.train[0], version.test, version.marked_by()];
        all.iter().all(|file| folder.join(file).is_file())
    })
}

pub(super) use files::is_archive;
