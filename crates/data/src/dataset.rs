//! Images in memory.

use candle_core::{DType, Device, Tensor};

use pfgmpp_hub::HubError;

use crate::image_files::ImageFilesError;

/// Class labels of a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassLabels {
    /// The class of each image, in `0..num_classes`.
    pub values: Vec<u32>,
    /// The number of classes.
    pub num_classes: usize,
}

/// Images `[n, C, H, W]` in `[-1, 1]` with an optional class for each.
///
/// The images lie in host memory as `f32`; [`Dataset::batch`] moves what a step needs.
#[derive(Clone, Debug)]
pub struct Dataset {
    name: String,
    images: Tensor,
    num_images: usize,
    image_shape: [usize; 3],
    labels: Option<ClassLabels>,
}

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
    /// Noise of a size that is not made.
    #[error(
        "data.noise: shape must be 1 or 3 channels with sides from 1 to 4096, num at least 5, and their product at most 2^29, got shape {shape:?} and num {num}"
    )]
    Noise {
        /// The shape asked for, `[C, H, W]`.
        shape: [usize; 3],
        /// The number of images asked for.
        num: usize,
    },
    /// Image files that cannot be used.
    #[error(transparent)]
    ImageFiles(#[from] ImageFilesError),
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
    Files {
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
            Self::ImageFiles(_)
            | Self::Noise { .. }
            | Self::Files { .. }
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

impl Dataset {
    /// Checks and takes a set of images.
    ///
    /// `images` has shape `[n, C, H, W]` and values in `[-1, 1]`; any float dtype and device, kept
    /// as `f32` in host memory.
    ///
    /// # Errors
    ///
    /// No images, another rank, a pixel outside `[-1, 1]` or not a number, a number of labels
    /// other than `n`, a label that is no class.
    pub fn new(
        name: impl Into<String>,
        images: &Tensor,
        labels: Option<ClassLabels>,
    ) -> Result<Self, DataError> {
        let name = name.into();
        let shape = images.dims();
        let &[num_images, channels, height, width] = shape else {
            return Err(DataError::Shape {
                name,
                shape: shape.to_vec(),
            });
        };
        if images.elem_count() == 0 {
            return Err(DataError::Empty {
                name,
                shape: shape.to_vec(),
            });
        }
        let images = images
            .to_device(&Device::Cpu)?
            .to_dtype(DType::F32)?
            .contiguous()?;
        check_pixels(&name, &images)?;
        if let Some(labels) = &labels {
            check_labels(&name, labels, num_images)?;
        }
        Ok(Self {
            name,
            images,
            num_images,
            image_shape: [channels, height, width],
            labels,
        })
    }

    /// The name, for messages and reports.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All images, `[n, C, H, W]`, `f32`, in host memory.
    pub fn images(&self) -> &Tensor {
        &self.images
    }

    /// The number of images, at least one.
    pub fn num_images(&self) -> usize {
        self.num_images
    }

    /// The shape of one image, `[C, H, W]`.
    pub fn image_shape(&self) -> [usize; 3] {
        self.image_shape
    }

    /// Whether the data are points in the plane, `[2, 1, 1]`, rather than images.
    pub fn is_planar(&self) -> bool {
        is_planar(self.image_shape)
    }

    /// The data dimension `N = C H W`.
    pub fn n(&self) -> usize {
        self.image_shape.iter().product()
    }

    /// The number of classes, 0 for a set without labels.
    pub fn num_classes(&self) -> usize {
        self.labels.as_ref().map_or(0, |labels| labels.num_classes)
    }

    /// The images at `indices`, in that order, `[B, C, H, W]`, `f32`, on `device`.
    ///
    /// # Errors
    ///
    /// An index that is not in `0..n`, and failures of the tensor backend.
    pub fn batch(&self, indices: &[usize], device: &Device) -> Result<Tensor, DataError> {
        self.check_indices(indices)?;
        // An i64 index serves any size; u32 would wrap silently.
        let index = Tensor::from_iter(indices.iter().map(|&index| index as i64), &Device::Cpu)?;
        Ok(self.images.index_select(&index, 0)?.to_device(device)?)
    }

    /// The classes of the images at `indices`, or `None` for a set without labels.
    ///
    /// # Errors
    ///
    /// An index that is not in `0..n`.
    pub fn labels(&self, indices: &[usize]) -> Result<Option<Vec<u32>>, DataError> {
        self.check_indices(indices)?;
        let pick =
            |labels: &ClassLabels| indices.iter().map(|&index| labels.values[index]).collect();
        Ok(self.labels.as_ref().map(pick))
    }

    /// The images at `indices` as a data set of its own.
    ///
    /// # Errors
    ///
    /// No index, an index that is not in `0..n`, and failures of the tensor backend.
    pub fn subset(&self, name: impl Into<String>, indices: &[usize]) -> Result<Self, DataError> {
        let images = self.batch(indices, &Device::Cpu)?;
        let num_classes = self.num_classes();
        let labels = self.labels(indices)?.map(|values| ClassLabels {
            values,
            num_classes,
        });
        Self::new(name, &images, labels)
    }

    fn check_indices(&self, indices: &[usize]) -> Result<(), DataError> {
        match indices.iter().find(|&&index| index >= self.num_images) {
            None => Ok(()),
            Some(&index) => Err(DataError::Index {
                name: self.name.clone(),
                index,
                num_images: self.num_images,
            }),
        }
    }
}

/// Whether samples of `shape` `[C, H, W]` are points in the plane.
pub fn is_planar(shape: [usize; 3]) -> bool {
    shape == [2, 1, 1]
}

fn check_pixels(name: &str, images: &Tensor) -> Result<(), DataError> {
    let n = images.elem_count() / images.dim(0)?;
    let pixels = images.flatten_all()?.to_vec1::<f32>()?;
    match pixels
        .iter()
        .position(|value| !(-1.0..=1.0).contains(value))
    {
        None => Ok(()),
        Some(i) => Err(DataError::Pixel {
            name: name.to_owned(),
            image: i / n,
            pixel: i % n,
            value: pixels[i],
        }),
    }
}

fn check_labels(name: &str, labels: &ClassLabels, num_images: usize) -> Result<(), DataError> {
    let ClassLabels {
        values,
        num_classes,
    } = labels;
    if values.len() != num_images {
        return Err(DataError::LabelCount {
            name: name.to_owned(),
            images: num_images,
            labels: values.len(),
        });
    }
    match values
        .iter()
        .position(|&label| label as usize >= *num_classes)
    {
        None => Ok(()),
        Some(image) => {
            let (name, label, num_classes) = (name.to_owned(), values[image], *num_classes);
            Err(DataError::Label {
                name,
                image,
                label,
                num_classes,
            })
        }
    }
}
