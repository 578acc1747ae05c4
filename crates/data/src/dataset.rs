//! Images with their classes.

use std::ops::RangeInclusive;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use crate::columns::Column;
use crate::error::DataError;
use crate::labels::{ClassLabels, Labels};
use crate::levels::Levels;
use crate::storage::{Storage, Stored};

/// Bytes of all images as `f32` up to which they can be had at once.
const MOST_AT_ONCE: u64 = 2 << 30;
/// Bytes of those that stand for all, as `f32`, where all are more than [`MOST_AT_ONCE`].
const MOST_OF_MANY: u64 = 96 << 20;

/// Images `[n, C, H, W]` in `[-1, 1]`, or rows of a table with [`Self::columns`], with an optional class for each.
///
/// They lie in host memory, as `f32` or as the levels of 8 or 16 bits that they were made of, or in files that are
/// read when they are needed; [`Dataset::batch`] gives those that a step needs, the same values wherever they lie.
#[derive(Clone, Debug)]
pub struct Dataset {
    name: String,
    storage: Storage,
    num_images: usize,
    image_shape: [usize; 3],
    labels: Labels,
    /// Of a table whose columns were standardised.
    pub(crate) columns: Option<Arc<[Column]>>,
    /// What a network is shown of each image, of data of pairs.
    pub(crate) input: Option<Arc<Dataset>>,
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
        Self::with_labels(name, images, labels.map_or(Labels::Absent, Labels::Classes))
    }

    /// As [`Self::new`], with labels that may be unusable.
    pub(crate) fn with_labels(
        name: impl Into<String>,
        images: &Tensor,
        labels: Labels,
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
        let storage = Storage::Values(images);
        let set = Self::of(
            name,
            storage,
            (num_images, [channels, height, width]),
            labels,
        )?;
        set.check_pixels()?;
        Ok(set)
    }

    /// Images of `shape` kept as levels, one after the other.
    pub(crate) fn of_levels(
        name: String,
        levels: Levels,
        shape: [usize; 3],
        labels: Labels,
    ) -> Result<Self, DataError> {
        let num_images = levels.len() / shape.iter().product::<usize>();
        let storage = Storage::Levels(Arc::new(levels));
        Self::of(name, storage, (num_images, shape), labels)
    }

    /// The images of `shape` at `indices` of a set in files.
    pub(crate) fn in_files(
        name: String,
        set: Arc<dyn Stored>,
        (indices, shape): (Vec<usize>, [usize; 3]),
        labels: Labels,
    ) -> Result<Self, DataError> {
        let num_images = indices.len();
        let storage = Storage::files(set, indices);
        Self::of(name, storage, (num_images, shape), labels)
    }

    pub(crate) fn of(
        name: String,
        storage: Storage,
        (num_images, image_shape): (usize, [usize; 3]),
        labels: Labels,
    ) -> Result<Self, DataError> {
        if let Some(classes) = labels.classes() {
            classes.check(&name, num_images)?;
        }
        Ok(Self {
            name,
            storage,
            num_images,
            image_shape,
            labels,
            columns: None,
            input: None,
        })
    }

    /// The name, for messages and reports.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All images, `[n, C, H, W]`, `f32`, in host memory.
    ///
    /// # Errors
    ///
    /// [`DataError::AtOnce`] for more than 2 GiB of them, and files that are not as they were.
    pub fn images(&self) -> Result<Tensor, DataError> {
        if let Storage::Values(images) = &self.storage {
            return Ok(images.clone());
        }
        if self.bytes() > MOST_AT_ONCE {
            return Err(DataError::AtOnce {
                name: self.name.clone(),
                num_images: self.num_images,
                needed_mib: self.bytes().div_ceil(1 << 20),
                accepted_mib: MOST_AT_ONCE >> 20,
            });
        }
        let all: Vec<usize> = (0..self.num_images).collect();
        self.batch(&all, &Device::Cpu)
    }

    /// The images that samples are compared with and moments are taken of, `[m, C, H, W]`, `f32`, in host memory: all,
    /// or of more than 2 GiB [`Self::num_reference_images`] that lie evenly apart.
    ///
    /// # Errors
    ///
    /// Files that are not as they were.
    pub fn reference_images(&self) -> Result<Tensor, DataError> {
        match self.num_reference_images() {
            all if all == self.num_images => self.images(),
            _ => self.batch(&self.reference_indices(), &Device::Cpu),
        }
    }

    /// Which images [`Self::reference_images`] are.
    pub fn reference_indices(&self) -> Vec<usize> {
        let (all, num) = (self.num_images as u128, self.num_reference_images());
        let even = |i: usize| (i as u128 * all / num as u128) as usize;
        (0..num).map(even).collect()
    }

    /// The number of [`Self::reference_images`]: all, or of more than 2 GiB as many as have 96 MiB.
    pub fn num_reference_images(&self) -> usize {
        if self.bytes() <= MOST_AT_ONCE {
            return self.num_images;
        }
        let fitting = MOST_OF_MANY / (4 * self.n() as u64);
        (fitting as usize).clamp(2, self.num_images)
    }

    /// Bytes of all images as `f32`.
    fn bytes(&self) -> u64 {
        4 * self.n() as u64 * self.num_images as u64
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

    /// The columns of a table that were standardised, one for each value of a row; `None` of all other data.
    pub fn columns(&self) -> Option<&[Column]> {
        self.columns.as_deref()
    }

    /// The image that a network is shown beside each of these, by the same index; `None` of data that are not pairs.
    pub fn input(&self) -> Option<&Dataset> {
        self.input.as_deref()
    }

    /// The data dimension `N = C H W`.
    pub fn n(&self) -> usize {
        self.image_shape.iter().product()
    }

    /// The number of classes, 0 for a set without labels, or with labels that cannot serve as classes.
    pub fn num_classes(&self) -> usize {
        self.labels.classes().map_or(0, ClassLabels::num_classes)
    }

    /// The number of images of each class, by class; empty for a set without classes.
    pub fn class_counts(&self) -> Vec<usize> {
        self.labels
            .classes()
            .map_or_else(Vec::new, ClassLabels::counts)
    }

    /// The classes of all images, or `None` for a set without labels.
    ///
    /// # Errors
    ///
    /// [`DataError::Labels`] for labels that are incomplete or are not classes: that matters to whoever asks
    /// for them and to nobody else.
    pub fn class_labels(&self) -> Result<Option<&ClassLabels>, DataError> {
        match &self.labels {
            Labels::Absent => Ok(None),
            Labels::Classes(classes) => Ok(Some(classes)),
            Labels::Unusable(reason) => Err(DataError::Labels {
                name: self.name.clone(),
                reason: reason.clone(),
            }),
        }
    }

    pub(crate) fn storage(&self) -> &Storage {
        &self.storage
    }

    pub(crate) fn all_labels(&self) -> &Labels {
        &self.labels
    }

    /// Why the labels that there are cannot serve as classes.
    pub(crate) fn unusable_labels(&self) -> Option<&str> {
        match &self.labels {
            Labels::Unusable(reason) => Some(reason),
            Labels::Absent | Labels::Classes(_) => None,
        }
    }

    /// The images at `indices`, in that order, `[B, C, H, W]`, `f32`, on `device`.
    ///
    /// # Errors
    ///
    /// An index that is not in `0..n`, files that are not as they were, and failures of the tensor backend.
    pub fn batch(&self, indices: &[usize], device: &Device) -> Result<Tensor, DataError> {
        self.check_indices(indices)?;
        let images = self.storage.batch(indices, self.image_shape)?;
        Ok(images.to_device(device)?)
    }

    /// Begins to read the images at `indices`, which the next [`Self::batch`] will be of, where they lie in files;
    /// what is in memory needs none of it.
    ///
    /// # Errors
    ///
    /// An index that is not in `0..n`.
    pub fn prepare(&self, indices: &[usize]) -> Result<(), DataError> {
        self.check_indices(indices)?;
        self.storage.prepare(indices);
        match &self.input {
            Some(input) => input.prepare(indices),
            None => Ok(()),
        }
    }

    /// Whether the images lie in files, so that [`Self::prepare`] saves time.
    pub fn is_in_files(&self) -> bool {
        let input = self.input.as_deref();
        matches!(self.storage, Storage::Files { .. }) || input.is_some_and(Self::is_in_files)
    }

    /// The classes of the images at `indices`, in that order, or `None` for a set without labels.
    ///
    /// # Errors
    ///
    /// An index that is not in `0..n`, and what [`Self::class_labels`] refuses.
    pub fn labels(&self, indices: &[usize]) -> Result<Option<Vec<u32>>, DataError> {
        self.check_indices(indices)?;
        let values = self.class_labels()?.map(ClassLabels::values);
        let pick = |values: &[u32]| indices.iter().map(|&index| values[index]).collect();
        Ok(values.map(pick))
    }

    /// The images at `indices` and their labels as a data set of its own.
    ///
    /// # Errors
    ///
    /// No index, an index that is not in `0..n`, and failures of the tensor backend.
    pub fn subset(&self, name: impl Into<String>, indices: &[usize]) -> Result<Self, DataError> {
        let name = name.into();
        let input = self
            .input
            .as_ref()
            .map(|input| input.subset(name.as_str(), indices));
        let mut subset = self.without_input(name, indices)?;
        subset.input = input.transpose()?.map(Arc::new);
        Ok(subset)
    }

    fn without_input(&self, name: String, indices: &[usize]) -> Result<Self, DataError> {
        let labels = self.labels.select(indices);
        if let Storage::Files {
            set, indices: own, ..
        } = &self.storage
        {
            self.check_indices(indices)?;
            let own = indices.iter().map(|&index| own[index]).collect();
            return Self::in_files(name, set.clone(), (own, self.image_shape), labels);
        }
        let images = self.batch(indices, &Device::Cpu)?;
        match &self.columns {
            Some(columns) => Self::table(name, images, labels, Arc::clone(columns)),
            None => Self::with_labels(name, &images, labels),
        }
    }

    /// Gives all values to `take`, in their order, a number of whole images at a time; of images in files those that
    /// stand for all ([`Self::reference_images`]).
    ///
    /// # Errors
    ///
    /// Files that are not as they were.
    pub(crate) fn each(&self, take: impl FnMut(&[f32])) -> Result<(), DataError> {
        if self.num_reference_images() < self.num_images {
            let storage = Storage::Values(self.reference_images()?);
            return storage.each((self.num_reference_images(), self.n()), take);
        }
        self.storage.each((self.num_images, self.n()), take)
    }

    /// The smallest and the largest value, of the images that stand for all.
    ///
    /// # Errors
    ///
    /// Files that are not as they were.
    pub fn range(&self) -> Result<RangeInclusive<f32>, DataError> {
        let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
        self.each(|values| {
            low = values.iter().copied().fold(low, f32::min);
            high = values.iter().copied().fold(high, f32::max);
        })?;
        Ok(low..=high)
    }

    fn check_pixels(&self) -> Result<(), DataError> {
        let outside = |value: &f32| !(-1.0..=1.0).contains(value);
        let mut found = None;
        let size = (self.num_images, self.n());
        self.storage.each(size, |values| {
            found = values.iter().position(outside).map(|i| (i, values[i]));
        })?;
        match found {
            None => Ok(()),
            Some((i, value)) => Err(DataError::Pixel {
                name: self.name.clone(),
                image: i / self.n(),
                pixel: i % self.n(),
                value,
            }),
        }
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

/// Whether samples of `shape` `[C, H, W]` are grey or RGB images, neither points in the plane nor rows of a table.
pub fn is_image(shape: [usize; 3]) -> bool {
    matches!(shape, [1 | 3, height, _] if height > 1) && !is_planar(shape)
}
