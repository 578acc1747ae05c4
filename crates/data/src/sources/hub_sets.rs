//! Data sets of the Hub: MNIST, Fashion-MNIST and CIFAR-10, each with its own test split held out.
//!
//! The files are fetched by `pfgmpp-hub`, which checks them, into the cache where candle-datasets then finds them.

use pfgmpp_hub::{Hub, HubError, Repo, RepoKind};

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

    fn bring(self, hub: &Hub) -> Result<(), HubError> {
        let (id, folder) = self.place();
        let repo = Repo::new(RepoKind::Dataset, id)?;
        let files = ["train", "test"].map(|split| format!("{folder}/{split}/0000.parquet"));
        let select = |names: &[String]| match files.iter().find(|file| !names.contains(file)) {
            None => Ok(files.to_vec()),
            Some(file) => Err(format!("no {file} at {REVISION}")),
        };
        // These sets do not change: what is here is not asked for again.
        if hub.cached(&repo, REVISION, &select).is_none() {
            hub.fetch(&repo, REVISION, &select)?;
        }
        Ok(())
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
        self.bring(hub).map_err(|source| DataError::Hub {
            name: self.word(),
            source,
        })
    }

    /// Reads both parts, after fetching them if need be.
    #[cfg(feature = "datasets")]
    fn load(&self) -> Result<Splits, DataError> {
        self.fetch(&Hub::from_env())?;
        self.read()
    }

    /// Says what is missing.
    #[cfg(not(feature = "datasets"))]
    fn load(&self) -> Result<Splits, DataError> {
        let name = self.word();
        Err(DataError::NoDatasets { name })
    }
}

#[cfg(feature = "datasets")]
mod read {
    use candle_core::Tensor;
    use candle_datasets::vision::{cifar, fashion_mnist, mnist};

    use super::HubSet;
    use crate::dataset::Dataset;
    use crate::error::DataError;
    use crate::labels::ClassLabels;
    use crate::splits::Splits;

    impl HubSet {
        /// Reads both splits from the cache.
        pub(super) fn read(self) -> Result<Splits, DataError> {
            let read = match self {
                Self::Mnist => mnist::load(),
                Self::FashionMnist => fashion_mnist::load(),
                Self::Cifar10 => cifar::load(),
            };
            let read = read.map_err(|e| DataError::HubFiles {
                name: self.word(),
                message: e.to_string(),
            })?;
            let split = |part: &str, images: &Tensor, labels: &Tensor| {
                let values = labels.to_vec1::<u8>()?.into_iter().map(u32::from);
                let classes = ClassLabels::new(values.collect(), read.labels);
                let images = self.images(images)?;
                Dataset::new(format!("{}/{part}", self.word()), &images, Some(classes))
            };
            let train = split("train", &read.train_images, &read.train_labels)?;
            let held_out = split("held_out", &read.test_images, &read.test_labels)?;
            Ok(Splits::new(self.word(), train, held_out))
        }

        /// Images `[n, C, H, W]` in `[-1, 1]` of what candle-datasets gives, in `[0, 1]`.
        fn images(self, images: &Tensor) -> Result<Tensor, DataError> {
            let images = match self {
                Self::Mnist | Self::FashionMnist => images.reshape(((), 1, 28, 28))?,
                // It gives CIFAR-10 with width before height.
                Self::Cifar10 => images.transpose(2, 3)?.contiguous()?,
            };
            Ok(images.affine(2.0, -1.0)?)
        }
    }
}
