//! What a configuration names as its data.

use serde::{Deserialize, Serialize};

use crate::dataset::{DataError, Dataset};
use crate::digits;
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
        }
    }
}
