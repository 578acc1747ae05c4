//! Images in memory.

use std::sync::Arc;

use candle_core::{DType, Device, Storage, Tensor};

use crate::columns::Column;
use crate::error::DataError;
use crate::labels::{ClassLabels, Labels};

/// Images `[n, C, H, W]` in `[-1, 1]`, or rows of a table with [`Self::columns`], with an optional class for each.
///
/// The images lie in host memory as `f32`; [`Dataset::batch`] moves what a step needs.
#[derive(Clone, Debug)]
pub struct Dataset {
    name: String,
    images: Tensor,
    num_images: usize,
    image_shape: [usize; 3],
    labels: Labels,
    /// Of a table whose columns were standardised.
    columns: Option<Arc<[Column]>>,
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
        Self::checked(name.into(), images, labels, None)
    }

    /// A table whose `columns`, one for each value of a row, were standardised: values may be any that are finite.
    pub(crate) fn table(
        name: impl Into<String>,
        rows: &Tensor,
        labels: Labels,
        columns: Arc<[Column]>,
    ) -> Result<Self, DataError> {
        Self::checked(name.into(), rows, labels, Some(columns))
    }

    fn checked(
        name: String,
        images: &Tensor,
        labels: Labels,
        columns: Option<Arc<[Column]>>,
    ) -> Result<Self, DataError> {
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
        check_pixels(&name, &images, columns.is_some())?;
        if let Some(classes) = labels.classes() {
            classes.check(&name, num_images)?;
        }
        Ok(Self {
            name,
            images,
            num_images,
            image_shape: [channels, height, width],
            labels,
            columns,
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

    /// The columns of a table that were standardised, one for each value of a row; `None` for all other data.
    pub fn columns(&self) -> Option<&[Column]> {
        self.columns.as_deref()
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
    /// An index that is not in `0..n`, and failures of the tensor backend.
    pub fn batch(&self, indices: &[usize], device: &Device) -> Result<Tensor, DataError> {
        self.check_indices(indices)?;
        // An i64 index serves any size; u32 would wrap silently.
        let index = Tensor::from_iter(indices.iter().map(|&index| index as i64), &Device::Cpu)?;
        Ok(self.images.index_select(&index, 0)?.to_device(device)?)
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
        let images = self.batch(indices, &Device::Cpu)?;
        let labels = self.labels.select(indices);
        Self::checked(name.into(), &images, labels, self.columns.clone())
    }

    /// The same rows of a table as they would be kept with `columns`, which have the names of its own, in their order.
    ///
    /// # Errors
    ///
    /// [`DataError::Columns`] for data without columns, or with others.
    pub fn standardised_as(&self, columns: &[Column]) -> Result<Self, DataError> {
        let own = self.columns().unwrap_or_default();
        let names = |columns: &[Column]| {
            let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
            names.join(", ")
        };
        if names(own) != names(columns) || own.len() != columns.len() {
            return Err(DataError::Columns {
                name: self.name.clone(),
                want: names(columns),
                got: match own {
                    [] => "none that are standardised".to_string(),
                    own => names(own),
                },
            });
        }
        if own == columns {
            return Ok(self.clone());
        }
        let kept = self.with_values(|values| {
            let pairs = own.iter().zip(columns).cycle();
            let kept = values.iter().zip(pairs);
            let kept = kept.map(|(&v, (own, new))| new.kept(own.value(f64::from(v))) as f32);
            kept.collect::<Vec<f32>>()
        })?;
        let rows = Tensor::from_vec(kept, self.images.shape(), &Device::Cpu)?;
        let (name, labels) = (self.name.clone(), self.labels.clone());
        Self::table(name, &rows, labels, columns.into())
    }

    /// What `measure` says of all values, image after image, which are not copied for it.
    pub(crate) fn with_values<R>(
        &self,
        measure: impl FnOnce(&[f32]) -> R,
    ) -> candle_core::Result<R> {
        with_values(&self.images, measure)
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

/// What `measure` says of the values of a contiguous `f32` tensor in host memory.
fn with_values<R>(images: &Tensor, measure: impl FnOnce(&[f32]) -> R) -> candle_core::Result<R> {
    let (storage, layout) = images.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(values), Some((start, end))) => {
            Ok(measure(&values.as_slice::<f32>()?[start..end]))
        }
        _ => candle_core::bail!("images must be contiguous and in host memory"),
    }
}

/// Refuses values outside `[-1, 1]`, or, of a table, such as are not finite.
fn check_pixels(name: &str, images: &Tensor, is_table: bool) -> Result<(), DataError> {
    let n = images.elem_count() / images.dim(0)?;
    let outside = |value: &f32| match is_table {
        true => !value.is_finite(),
        false => !(-1.0..=1.0).contains(value),
    };
    let first = |values: &[f32]| values.iter().position(outside).map(|i| (i, values[i]));
    match with_values(images, first)? {
        None => Ok(()),
        Some((i, value)) => Err(DataError::Pixel {
            name: name.to_owned(),
            image: i / n,
            pixel: i % n,
            value,
        }),
    }
}
