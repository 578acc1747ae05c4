//! The list of data sources: what a configuration can name as its data.
//!
//! A source is a type with [`Source`] in a file of its own under `sources/`; it is declared here and stands in one
//! of the two lists below.

mod array;
mod at;
mod cifar;
mod csv_hints;
mod csv_rows;
mod csv_table;
mod digits;
mod hub_sets;
mod idx;
mod image_files;
mod mnist_5k;
mod noise;
mod npy;
mod npz;
mod paired;
mod plane;
mod safetensors;
mod standardised;
mod student_t;
mod whole_array;

use std::fmt;
use std::path::Path;

pub use array::NpyLayout;
pub use cifar::CifarLabels;
pub use csv_table::read_table;
pub use image_files::{
    Filter, ImageFiles, PackOptions, Packed, pack, pack_set, read_image, read_opaque_image,
};
pub use mnist_5k::Mnist5kSide;
use pfgmpp_hub::Hub;
use serde::de::value::{EnumAccessDeserializer, MapAccessDeserializer};
use serde::de::{EnumAccess, Error, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
pub use whole_array::read_array;

use crate::error::DataError;
use crate::source::Source;
use crate::splits::Splits;

/// Makes [`DataSource`] of two lists: sources that are a word (`data: digits`), each with the value that reads it,
/// and sources with settings (`data: {zip: {path: a.zip}}`), each with its type.
macro_rules! sources {
    (
        words { $($(#[$about:meta])* $word:ident => $value:expr,)* }
        settings { $($(#[$named:meta])* $variant:ident($module:ident::$settings:ident),)* }
    ) => {
        $(pub use $module::$settings;)*

        /// A data set by name, as it stands in a configuration (`data: digits`).
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(remote = "Self", rename_all = "snake_case")]
        pub enum DataSource {
            $($(#[$about])* $word,)*
            $(
                #[doc = concat!("See [`", stringify!($settings), "`].")]
                $(#[$named])*
                $variant($settings),
            )*
        }

        impl DataSource {
            fn source(&self) -> &dyn Source {
                match self {
                    $(Self::$word => &$value,)*
                    $(Self::$variant(settings) => settings,)*
                }
            }
        }
    };
}

sources! {
    words {
        /// The embedded handwritten digits, 1 x 8 x 8, 10 classes. Image `i` of 1,797 is held out when
        /// `i % 5 == 4`.
        Digits => digits::Digits,
        /// Points in the plane, `[2, 1, 1]`: eight Gaussians on a circle, 8 classes.
        EightGaussians => plane::Shape::EightGaussians,
        /// Points in the plane: a spiral of one and a half turns, 1 class.
        SwissRoll => plane::Shape::SwissRoll,
        /// Points in the plane: eight dark squares of a four by four board, 8 classes.
        Checkerboard => plane::Shape::Checkerboard,
        /// Points in the plane: two half circles that reach into each other, 2 classes.
        TwoMoons => plane::Shape::TwoMoons,
        /// MNIST of the Hub, 1 x 28 x 28, 10 classes; its own 10,000 test images are held out.
        Mnist => hub_sets::HubSet::Mnist,
        /// Fashion-MNIST of the Hub, 1 x 28 x 28, 10 classes; its own 10,000 test images are held out.
        FashionMnist => hub_sets::HubSet::FashionMnist,
        /// CIFAR-10 of the Hub, 3 x 32 x 32, 10 classes; its own 10,000 test images are held out.
        #[serde(rename = "cifar10")]
        Cifar10 => hub_sets::HubSet::Cifar10,
    }
    settings {
        #[serde(rename = "mnist_5k")]
        Mnist5k(mnist_5k::Mnist5k),
        Noise(noise::Noise),
        Zip(image_files::ImageArchive),
        Folder(image_files::ImageFolder),
        Npy(npy::NpyArray),
        Npz(npz::NpzArchive),
        Safetensors(safetensors::SafetensorsFile),
        Idx(idx::IdxFile),
        Cifar(cifar::CifarFiles),
        Csv(csv_table::CsvTable),
        StudentT(student_t::StudentT),
        Paired(paired::Paired),
        Parquet(image_files::ParquetFiles),
    }
}

impl DataSource {
    /// The source with settings that `word` alone stands for, all of them at what they are without being named.
    fn of_word(word: &str) -> Option<Self> {
        match word {
            "mnist_5k" => Some(Self::Mnist5k(Mnist5k::default())),
            _ => None,
        }
    }
}

impl Serialize for DataSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

// As serde makes it, but that a source whose settings may all be left out may be a word too.
impl<'de> Deserialize<'de> for DataSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordOrSettings)
    }
}

struct WordOrSettings;

impl<'de> Visitor<'de> for WordOrSettings {
    type Value = DataSource;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("string or map with the name of a data source")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<DataSource, E> {
        match DataSource::of_word(word) {
            Some(source) => Ok(source),
            None => DataSource::deserialize(word.into_deserializer()),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<DataSource, A::Error> {
        DataSource::deserialize(MapAccessDeserializer::new(map))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<DataSource, A::Error> {
        DataSource::deserialize(EnumAccessDeserializer::new(tagged))
    }
}

impl DataSource {
    /// A short name: the set's own, or the file name of an archive or folder.
    pub fn name(&self) -> String {
        self.source().name()
    }

    /// Brings the data set here if it is one of the Hub that is not in the cache; [`Self::load_from`] does so too,
    /// and [`Self::load`] unwatched.
    ///
    /// # Errors
    ///
    /// What the Hub has not or does not give.
    pub fn fetch(&self, hub: &Hub) -> Result<(), DataError> {
        self.source().fetch(hub)
    }

    /// Reads the data set and divides it by its fixed rule. Every source gives the classes of its images if it
    /// has them ([`Dataset::class_labels`](crate::Dataset::class_labels)).
    ///
    /// # Errors
    ///
    /// Data that are not as the source promises, and failures of the tensor backend.
    pub fn load(&self) -> Result<Splits, DataError> {
        self.source().load()
    }

    /// As [`Self::load`], with the Hub and the cache that `hub` stands for in place of those of this process's
    /// environment.
    ///
    /// # Errors
    ///
    /// As for [`Self::fetch`] and [`Self::load`].
    pub fn load_from(&self, hub: &Hub) -> Result<Splits, DataError> {
        self.source().load_from(hub)
    }
}

/// The last part of a path, which a set of files is called by.
fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}
