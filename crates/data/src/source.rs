//! What a configuration names as its data.

use std::path::PathBuf;

use pfgmpp_hub::Hub;
use serde::{Deserialize, Serialize};

use crate::dataset::{DataError, Dataset};
use crate::digits;
use crate::hub_sets::HubSet;
use crate::image_files;
use crate::noise;
use crate::plane::Shape;

/// A data set by name, as it stands in a configuration (`data: digits`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum DataSource {
    /// The embedded handwritten digits, 1 x 8 x 8, 10 classes. Image `i` of 1,797 is held out when
    /// `i % 5 == 4`.
    Digits,
    /// Points in the plane, `[2, 1, 1]`: eight Gaussians on a circle, 8 classes.
    EightGaussians,
    /// Points in the plane: a spiral of one and a half turns.
    SwissRoll,
    /// Points in the plane: eight dark squares of a four by four board, 8 classes.
    Checkerboard,
    /// Points in the plane: two half circles that reach into each other, 2 classes.
    TwoMoons,
    /// MNIST of the Hub, 1 x 28 x 28, 10 classes; its own 10,000 test images are held out.
    Mnist,
    /// Fashion-MNIST of the Hub, 1 x 28 x 28, 10 classes; its own 10,000 test images are held out.
    FashionMnist,
    /// CIFAR-10 of the Hub, 3 x 32 x 32, 10 classes; its own 10,000 test images are held out.
    #[serde(rename = "cifar10")]
    Cifar10,
    /// Images of uniform noise, without content: they time a network on data of any shape (`pfgmpp bench`).
    Noise {
        /// The shape of an image, `[C, H, W]`.
        shape: [usize; 3],
        /// The number of images.
        num: usize,
    },
    /// The PNG images of a ZIP archive, 8-bit grey or RGB and all of one size, with their classes in
    /// `dataset.json` (`{"labels": [[name, class], ...]}`, or null, or no such file). Image `i` in
    /// the order of names is held out when `i % 5 == 4`; level `v` becomes `v / 127.5 - 1`.
    ///
    /// Up to 2^20 files and 2 GiB of images as `f32`; loading takes about twice the memory of the
    /// images. Nothing is extracted.
    Zip {
        /// The archive; a relative path starts from the working directory.
        path: PathBuf,
    },
    /// The same from a folder and the folders in it.
    Folder {
        /// The folder; a relative path starts from the working directory.
        path: PathBuf,
    },
}

/// The two parts of a data set.
#[derive(Clone, Debug)]
pub struct Splits {
    /// What a model learns from.
    pub train: Dataset,
    /// What its samples are compared with; no model sees it.
    pub held_out: Dataset,
}

impl DataSource {
    /// A short name: the set's own, or the file name of an archive or folder.
    pub fn name(&self) -> String {
        let name = match self {
            Self::Digits => "digits",
            Self::EightGaussians => "eight_gaussians",
            Self::SwissRoll => "swiss_roll",
            Self::Checkerboard => "checkerboard",
            Self::TwoMoons => "two_moons",
            Self::Mnist => HubSet::Mnist.name(),
            Self::FashionMnist => HubSet::FashionMnist.name(),
            Self::Cifar10 => HubSet::Cifar10.name(),
            Self::Noise { .. } => "noise",
            Self::Zip { path } | Self::Folder { path } => {
                let name = path.file_name().unwrap_or(path.as_os_str());
                return name.to_string_lossy().into_owned();
            }
        };
        name.to_string()
    }

    /// Brings the data set here if it is one of the Hub that is not in the cache; [`Self::load`] does so too,
    /// unwatched.
    ///
    /// # Errors
    ///
    /// What the Hub has not or does not give.
    pub fn fetch(&self, hub: &Hub) -> Result<(), DataError> {
        match self {
            _ if cfg!(not(feature = "datasets")) => Ok(()),
            Self::Mnist => HubSet::Mnist.fetch(hub),
            Self::FashionMnist => HubSet::FashionMnist.fetch(hub),
            Self::Cifar10 => HubSet::Cifar10.fetch(hub),
            _ => Ok(()),
        }
    }

    /// Reads the data set and divides it by its fixed rule.
    ///
    /// # Errors
    ///
    /// Data that are not as the source promises, and failures of the tensor backend.
    pub fn load(&self) -> Result<Splits, DataError> {
        match self {
            Self::Digits => digits::splits(),
            Self::EightGaussians => Shape::EightGaussians.splits(),
            Self::SwissRoll => Shape::SwissRoll.splits(),
            Self::Checkerboard => Shape::Checkerboard.splits(),
            Self::TwoMoons => Shape::TwoMoons.splits(),
            Self::Mnist => HubSet::Mnist.load(),
            Self::FashionMnist => HubSet::FashionMnist.load(),
            Self::Cifar10 => HubSet::Cifar10.load(),
            Self::Noise { shape, num } => noise::splits(*shape, *num),
            Self::Zip { path } => image_files::from_zip(path),
            Self::Folder { path } => image_files::from_folder(path),
        }
    }
}
