//! The classes of a data set's images.

use crate::error::DataError;

/// The most classes: more are a mistake, because networks take a class as one value of each.
pub const MAX_CLASSES: usize = 1 << 16;

/// A class for each image of a data set, in the order of its images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassLabels {
    values: Vec<u32>,
    num_classes: usize,
    names: Vec<String>,
}

impl ClassLabels {
    /// Classes by number: `values` holds one of `0..num_classes` for each image, which
    /// [`Dataset::new`](crate::Dataset::new) checks.
    pub fn new(values: Vec<u32>, num_classes: usize) -> Self {
        Self {
            values,
            num_classes,
            names: Vec::new(),
        }
    }

    /// Classes that have names too: class `k` is `names[k]`.
    pub fn named(values: Vec<u32>, names: Vec<String>) -> Self {
        Self {
            values,
            num_classes: names.len(),
            names,
        }
    }

    /// The class of each image, in `0..num_classes`.
    pub fn values(&self) -> &[u32] {
        &self.values
    }

    /// The number of classes; some may have no image.
    pub fn num_classes(&self) -> usize {
        self.num_classes
    }

    /// The name of each class, in their order; empty where classes are mere numbers.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The number of images of each class, `num_classes` of them.
    pub fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.num_classes];
        for &class in &self.values {
            counts[class as usize] += 1;
        }
        counts
    }

    /// The same classes for the images at `indices`, all of which exist.
    pub(crate) fn select(&self, indices: &[usize]) -> Self {
        Self {
            values: indices.iter().map(|&index| self.values[index]).collect(),
            num_classes: self.num_classes,
            names: self.names.clone(),
        }
    }

    /// Refuses another number of labels than `num_images`, and a label that is not a class.
    pub(crate) fn check(&self, name: &str, num_images: usize) -> Result<(), DataError> {
        if self.values.len() != num_images {
            return Err(DataError::LabelCount {
                name: name.to_owned(),
                images: num_images,
                labels: self.values.len(),
            });
        }
        let outside = |&label: &u32| label as usize >= self.num_classes;
        match self.values.iter().position(outside) {
            None => Ok(()),
            Some(image) => Err(DataError::Label {
                name: name.to_owned(),
                image,
                label: self.values[image],
                num_classes: self.num_classes,
            }),
        }
    }
}

/// What a data set knows of its images' classes.
#[derive(Clone, Debug)]
pub(crate) enum Labels {
    /// There are none.
    Absent,
    /// One for each image.
    Classes(ClassLabels),
    /// There are some that cannot serve as classes, for this reason.
    Unusable(String),
}

impl Labels {
    /// The classes, if they can be used.
    pub(crate) fn classes(&self) -> Option<&ClassLabels> {
        match self {
            Self::Classes(classes) => Some(classes),
            Self::Absent | Self::Unusable(_) => None,
        }
    }

    /// The labels of the images at `indices`, all of which exist.
    pub(crate) fn select(&self, indices: &[usize]) -> Self {
        match self {
            Self::Classes(classes) => Self::Classes(classes.select(indices)),
            other => other.clone(),
        }
    }
}
