//! Arrays of NumPy (`.npy`): images, points or rows of a table, with classes from a second array.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::array::{Array, NpyLayout, Reading, classes, load};
use super::file_name;
use crate::error::DataError;
use crate::labels::Labels;
use crate::source::Source;
use crate::splits::Splits;

/// An array of `u8`, `f32` or `f64` in a `.npy` file. Row `i` is held out when `i % 5 == 4`.
///
/// ```text
/// [num, h, w]                        grey images
/// [num, h, w, c], [num, c, h, w]     images of 1 or 3 channels
/// [num, 2]                           points in the plane, [2, 1, 1]
/// [num, n]                           rows of a table, [1, 1, n]
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NpyArray {
    /// The array; a relative path starts from the working directory.
    pub path: PathBuf,
    /// A second array of whole numbers, `[num]`: the class of each row.
    #[serde(default)]
    pub labels: Option<PathBuf>,
    /// The values that become -1 and 1, which none may lie beyond. `u8` says itself that it goes from 0 to 255;
    /// any other array needs a range.
    #[serde(default)]
    pub range: Option<[f64; 2]>,
    /// Where the channels stand, needed where the shape allows both.
    #[serde(default)]
    pub layout: Option<NpyLayout>,
}

impl Source for NpyArray {
    fn name(&self) -> String {
        file_name(&self.path)
    }

    fn load(&self) -> Result<Splits, DataError> {
        let array = Array::open_npy(&self.path)?;
        let labels = match &self.labels {
            None => Labels::Absent,
            Some(path) => Labels::Classes(classes(Array::open_npy(path)?, array.num())?),
        };
        let reading = Reading {
            range: self.range,
            layout: self.layout,
        };
        load(self.name(), array, reading, &labels)
    }
}
