//! Data sets of the Hub: MNIST, Fashion-MNIST and CIFAR-10, each with its own test split held out.
//!
//! The files are fetched by `pfgmpp-hub`, which checks them, and read from where it puts them. candle-datasets gives
//! what reads them; its own loaders look for the cache by the environment of the process, whatever a program was
//! told, and pass over rows that cannot be read.

use pfgmpp_hub::{Fetched, Hub, HubError, Repo, RepoKind};

use crate::error::DataError;
use crate::source::Source;
use crate::splits::Splits;

/// The branch on which the Hub keeps every data set as parquet files.
const REVISION: &str = "refs/convert/parquet";

/// A data set of the Hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HubSet {
    Mnist,
    FashionMnist,
    Cifar10,
}

impl HubSet {
    fn word(self) -> &'static str {
        match self {
            Self::Mnist => "mnist",
            Self::FashionMnist => "fashion_mnist",
            Self::Cifar10 => "cifar10",
        }
    }

    /// The repository, and the folder of its files.
    fn place(self) -> (&'static str, &'static str) {
        match self {
            Self::Mnist => ("ylecun/mnist", "mnist"),
            Self::FashionMnist => ("zalando-datasets/fashion_mnist", "fashion_mnist"),
            Self::Cifar10 => ("cifar10", "plain_text"),
        }
    }

    /// The file of a split, `train` or `test`.
    fn file(self, split: &str) -> String {
        let (_, folder) = self.place();
        format!("{folder}/{split}/0000.parquet")
    }

    fn bring(self, hub: &Hub) -> Result<Fetched, DataError> {
        let fetched = self.fetched(hub);
        fetched.map_err(|source| DataError::Hub {
            name: self.word(),
            source,
        })
    }

    fn fetched(self, hub: &Hub) -> Result<Fetched, HubError> {
        let (id, _) = self.place();
        let repo = Repo::new(RepoKind::Dataset, id)?;
        let files = ["train", "test"].map(|split| self.file(split));
        let select = |names: &[String]| match files.iter().find(|file| !names.contains(file)) {
            None => Ok(files.to_vec()),
            Some(file) => Err(format!("no {file} at {REVISION}")),
        };
        // These sets do not change: what is here is not asked for again.
        match hub.cached(&repo, REVISION, &select) {
            Some(cached) => Ok(cached),
            None => hub.fetch(&repo, REVISION, &select),
        }
    }
}

impl Source for HubSet {
    fn name(&self) -> String {
        self.word().to_string()
    }

    /// Brings the files here, if they are not in the cache; a program that could not read them fetches nothing.
    fn fetch(&self, hub: &Hub) -> Result<(), DataError> {
        if cfg!(not(feature = "datasets")) {
            return Ok(());
        }
        self.bring(hub).map(|_| ())
    }

    /// Reads both parts, after fetching them if need be.
    fn load(&self) -> Result<Splits, DataError> {
        self.load_from(&Hub::from_env())
    }

    #[cfg(feature = "datasets")]
    fn load_from(&self, hub: &Hub) -> Result<Splits, DataError> {
        self.read(&self.bring(hub)?.folder)
    }

    /// Says what is missing.
    #[cfg(not(feature = "datasets"))]
    fn load_from(&self, _hub: &Hub) -> Result<Splits, DataError> {
        let name = self.word();
        Err(DataError::NoDatasets { name })
    }
}

#[cfg(feature = "datasets")]
mod read {
    use std::fs::File;
    use std::path::Path;

    use candle_core::{DType, Device, Tensor};
    use candle_datasets::hub::FileReader;
    use parquet::file::reader::SerializedFileReader;
    use parquet::record::{Field, Row};

    use super::HubSet;
    use crate::dataset::Dataset;
    use crate::error::DataError;
    use crate::labels::ClassLabels;
    use crate::splits::Splits;

    /// Classes of each set.
    const CLASSES: u32 = 10;

    impl HubSet {
        /// Channels, height and width of the images.
        fn shape(self) -> [usize; 3] {
            match self {
                Self::Mnist | Self::FashionMnist => [1, 28, 28],
                Self::Cifar10 => [3, 32, 32],
            }
        }

        /// Reads both splits from the folder that holds their files.
        pub(super) fn read(self, folder: &Path) -> Result<Splits, DataError> {
            let split = |part: &str, split: &str| {
                let path = folder.join(self.file(split));
                let (levels, labels) =
                    self.split(&path).map_err(|problem| DataError::HubFiles {
                        name: self.word(),
                        message: format!("{}: {problem}", path.display()),
                    })?;
                let images = self.images(levels, labels.len())?;
                let classes = ClassLabels::new(labels, CLASSES as usize);
                Dataset::new(format!("{}/{part}", self.word()), &images, Some(classes))
            };
            let train = split("train", "train")?;
            let held_out = split("held_out", "test")?;
            Ok(Splits::new(self.word(), train, held_out))
        }

        /// The pixels of all images, `[n, H, W, C]` in 0 to 255, and their classes.
        fn split(self, path: &Path) -> Result<(Vec<u8>, Vec<u32>), String> {
            let file = File::open(path).map_err(|e| e.to_string())?;
            let reader = SerializedFileReader::new(file).map_err(|e| e.to_string())?;
            let rows = reader.get_row_iter(None).map_err(|e| e.to_string())?;
            let (mut levels, mut labels) = (Vec::new(), Vec::new());
            for (index, row) in rows.enumerate() {
                let row = row.map_err(|e| format!("row {index}: {e}"))?;
                let label = self.row(&row, &mut levels);
                labels.push(label.map_err(|problem| format!("row {index}: {problem}"))?);
            }
            Ok((levels, labels))
        }

        /// Adds the pixels of a row's image and gives its class.
        fn row(self, row: &Row, levels: &mut Vec<u8>) -> Result<u32, String> {
            let [channels, height, width] = self.shape();
            let (mut picture, mut label) = (None, None);
            for (_, field) in row.get_column_iter() {
                match field {
                    Field::Group(group) => {
                        picture = group.get_column_iter().find_map(|(_, field)| match field {
                            Field::Bytes(bytes) => Some(bytes.data()),
                            _ => None,
                        });
                    }
                    Field::Long(value) => label = u32::try_from(*value).ok(),
                    _ => {}
                }
            }
            let picture = image::load_from_memory(picture.ok_or("no picture")?);
            let picture = picture.map_err(|e| e.to_string())?;
            let size = [picture.height() as usize, picture.width() as usize];
            if size != [height, width] {
                return Err(format!("a picture of {size:?}, not {:?}", [height, width]));
            }
            match channels {
                1 => levels.extend_from_slice(picture.to_luma8().as_raw()),
                _ => levels.extend_from_slice(picture.to_rgb8().as_raw()),
            }
            let label = label.filter(|label| *label < CLASSES);
            label.ok_or_else(|| format!("no label in 0..{CLASSES}"))
        }

        /// Images `[n, C, H, W]` in `[-1, 1]` of their pixels.
        fn images(self, levels: Vec<u8>, num: usize) -> Result<Tensor, DataError> {
            let [channels, height, width] = self.shape();
            let images = Tensor::from_vec(levels, (num, height, width, channels), &Device::Cpu)?;
            let images = (images.to_dtype(DType::F32)? / 255.0)?;
            Ok(images
                .permute((0, 3, 1, 2))?
                .contiguous()?
                .affine(2.0, -1.0)?)
        }
    }
}
