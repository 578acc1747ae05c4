//! What can be wrong with a data set.

use pfgmpp_hub::HubError;

use crate::file_error::FileError;
use crate::splits::MIN_IMAGES;

/// What can be wrong with a data set or with a request to it.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A data set without images or with images without pixels.
    #[error(
        "{name}: a data set needs at least one image of at least one pixel, got shape {shape:?}"
    )]
    Empty {
        /// The data set.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// Images that are not four-dimensional.
    #[error("{name}: images must have shape [n, C, H, W], got {shape:?}")]
    Shape {
        /// The data set.
        name: String,
        /// The shape given.
        shape: Vec<usize>,
    },
    /// A pixel outside `[-1, 1]`, or not a number.
    #[error("{name}: pixel {pixel} of image {image} must be within [-1, 1], got {value}")]
    Pixel {
        /// The data set.
        name: String,
        /// The image.
        image: usize,
        /// The pixel, counted through `[C, H, W]`.
        pixel: usize,
        /// Its value.
        value: f32,
    },
    /// A value of a table that is not finite as `f32`, once it is standardised.
    #[error(
        "{name}: row {row} lies too far from the others in column {column} to be standardised: leave the row out"
    )]
    NotFinite {
        /// The data set.
        name: String,
        /// The row, of its part.
        row: usize,
        /// The column.
        column: String,
    },
    /// A table with other columns than are asked for.
    #[error(
        "{name}: must be a table with the columns {want}, standardised (csv: {{..., standardise: ...}}), got {got}"
    )]
    Columns {
        /// The data set.
        name: String,
        /// The columns that are asked for.
        want: String,
        /// What there is.
        got: String,
    },
    /// A number of labels that differs from the number of images.
    #[error("{name}: {images} images need as many labels, got {labels}")]
    LabelCount {
        /// The data set.
        name: String,
        /// The number of images.
        images: usize,
        /// The number of labels.
        labels: usize,
    },
    /// A label that is no class.
    #[error("{name}: label of image {image} must be in 0..{num_classes}, got {label}")]
    Label {
        /// The data set.
        name: String,
        /// The image.
        image: usize,
        /// Its label.
        label: u32,
        /// The number of classes.
        num_classes: usize,
    },
    /// Labels that are asked for and cannot serve as classes.
    #[error("{name}: its labels cannot be used as classes: {reason}")]
    Labels {
        /// The data set.
        name: String,
        /// Why not.
        reason: String,
    },
    /// A request for an image that is not there.
    #[error("{name}: image index must be in 0..{num_images}, got {index}")]
    Index {
        /// The data set.
        name: String,
        /// The index asked for.
        index: usize,
        /// The number of images.
        num_images: usize,
    },
    /// Images that are asked for all at once and are too many for it.
    #[error(
        "{name}: {num_images} images at once need {needed_mib} MiB as f32, up to {accepted_mib} MiB are accepted: take fewer or smaller ones for what needs all of them, as the exact model does"
    )]
    AtOnce {
        /// The data set.
        name: String,
        /// The number of images.
        num_images: usize,
        /// MiB needed.
        needed_mib: u64,
        /// MiB accepted.
        accepted_mib: u64,
    },
    /// Noise of a size that is not made.
    #[error(
        "data.noise: shape must be 1 or 3 channels with sides from 1 to 4096, num at least {MIN_IMAGES}, and their product at most 2^29, got shape {shape:?} and num {num}"
    )]
    Noise {
        /// The shape asked for, `[C, H, W]`.
        shape: [usize; 3],
        /// The number of images asked for.
        num: usize,
    },
    /// A Student-t that is not drawn.
    #[error(
        "data.student_t: nu from 0.5 to 1e6, columns from 1 to 4096, num at least {MIN_IMAGES} with up to 2^26 values in all and \
         correlation from 0 to 0.99 are accepted, got nu {nu}, columns {columns}, num {num} and correlation {correlation}"
    )]
    StudentT {
        /// Degrees of freedom.
        nu: f64,
        /// Columns.
        columns: usize,
        /// Rows.
        num: usize,
        /// Correlation.
        correlation: f64,
    },
    /// Two sources whose images are not pairs.
    #[error("data.paired: {input} and {target}: {reason}")]
    Paired {
        /// The source of what is shown.
        input: String,
        /// The source of what is learned.
        target: String,
        /// Why not.
        reason: String,
    },
    /// Images without others beside them, for a network that is shown those.
    #[error(
        "condition paired needs data of pairs (data: {{paired: {{input: ..., target: ...}}}}): {0} has none"
    )]
    NotPaired(String),
    /// Files that cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// A data set of the Hub could not be had.
    #[error("data set {name}: {source}")]
    Hub {
        /// The data set.
        name: &'static str,
        /// Why not.
        source: HubError,
    },
    /// Files of a data set that cannot be read.
    #[error(
        "data set {name}: its files cannot be read ({message}): remove them from the cache to fetch them anew"
    )]
    HubFiles {
        /// The data set.
        name: &'static str,
        /// What is wrong with them.
        message: String,
    },
    /// A data set that this program was built without.
    #[error(
        "data set {name}: this program was built without the data sets of the Hub: build it with --features datasets"
    )]
    NoDatasets {
        /// The data set.
        name: &'static str,
    },
    /// A failure of the tensor backend.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

impl DataError {
    /// Whether the user can mend it by naming other data.
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Hub { source, .. } => source.is_bad_input(),
            Self::File(_)
            | Self::AtOnce { .. }
            | Self::Noise { .. }
            | Self::Columns { .. }
            | Self::NotFinite { .. }
            | Self::StudentT { .. }
            | Self::Labels { .. }
            | Self::Paired { .. }
            | Self::NotPaired(_)
            | Self::HubFiles { .. }
            | Self::NoDatasets { .. } => true,
            _ => false,
        }
    }

    /// The underlying failure of the file system in the cache of the Hub, if it was one.
    pub fn io_error(&self) -> Option<&std::io::Error> {
        match self {
            Self::Hub { source, .. } => source.io_error(),
            _ => None,
        }
    }
}
