//! What a model may be told beside the perturbed data: a class, an image, what was observed.

use candle_core::{Device, Result, Tensor};

use crate::Query;

/// A condition of another shape than the model takes, or of a class that there is not.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConditionError {
    /// Labels for a model without classes.
    #[error("class labels were given to a model that takes none (label_dim 0)")]
    NoLabels,
    /// An image for a model that is not told one.
    #[error("a conditioning image was given to a model that takes none")]
    NoImage,
    /// No image for a model that needs one.
    #[error("the model takes a conditioning image of {0} channels, got none")]
    ImageMissing(usize),
    /// Labels of another shape.
    #[error("labels must have shape {want:?}, one row per sample, got {got:?}")]
    LabelShape {
        /// `[B, label_dim]`.
        want: [usize; 2],
        /// The refused shape.
        got: Vec<usize>,
    },
    /// An image of another shape.
    #[error("the conditioning image must have shape {want:?}, got {got:?}")]
    ImageShape {
        /// `[B, C', ...]`, the rest as in x.
        want: Vec<usize>,
        /// The refused shape.
        got: Vec<usize>,
    },
    /// A part of a condition without the dimensions that it has for any model.
    #[error("{name} must have {rank} dimensions, {shape}, got shape {got:?}")]
    Rank {
        /// Which part.
        name: &'static str,
        /// Its number of dimensions.
        rank: usize,
        /// What they stand for.
        shape: &'static str,
        /// The refused shape.
        got: Vec<usize>,
    },
    /// Labels and image of batches of different sizes.
    #[error("labels and conditioning image must have a row for each sample: {labels} and {image}")]
    Batch {
        /// Rows of the labels.
        labels: usize,
        /// Rows of the image.
        image: usize,
    },
    /// An observation for a model that is not told one.
    #[error(
        "an observation was given to a model that takes none: wrap it by one of the methods of restoration"
    )]
    NoObservation,
    /// An observation of a batch of another size.
    #[error("the observation must have a row for each of the {want} samples, got {got}")]
    ObservedBatch {
        /// Rows of the rest of the condition.
        want: usize,
        /// Rows of the observation.
        got: usize,
    },
    /// A class that there is not.
    #[error("classes[{index}] must be below label_dim = {label_dim}, got {class}")]
    Class {
        /// Position in the list.
        index: usize,
        /// The refused class.
        class: usize,
        /// Number of classes.
        label_dim: usize,
    },
}

impl From<ConditionError> for candle_core::Error {
    fn from(error: ConditionError) -> Self {
        Self::wrap(error)
    }
}

/// What the samples of a batch are conditioned on, one row a sample; possibly nothing.
#[derive(Clone, Debug, Default)]
pub struct Condition {
    labels: Option<Tensor>,
    image: Option<Tensor>,
    observed: Option<Tensor>,
}

/// For queries that ask for nothing in particular.
static NO_CONDITION: Condition = Condition {
    labels: None,
    image: None,
    observed: None,
};

impl Condition {
    /// No condition: what an unconditional model takes, and the unconditional case of a model with classes.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// [`Self::none`] for whoever holds a reference to a condition.
    #[must_use]
    pub fn unconditional() -> &'static Self {
        &NO_CONDITION
    }

    /// A class for each sample; `None` for a sample without one, whose row is zeros.
    ///
    /// `classes` are `usize` or `Option<usize>`. The labels are one-hot, `[classes.len(), label_dim]`, `f32`.
    ///
    /// # Errors
    ///
    /// A class that is not below `label_dim`, and failures of the tensor backend.
    pub fn of_classes<C: Into<Option<usize>> + Copy>(
        classes: &[C],
        label_dim: usize,
        device: &Device,
    ) -> Result<Self> {
        let mut labels = vec![0f32; classes.len() * label_dim];
        for (index, class) in classes.iter().enumerate() {
            match (*class).into() {
                Some(class) if class < label_dim => labels[index * label_dim + class] = 1.0,
                Some(class) => {
                    let error = ConditionError::Class {
                        index,
                        class,
                        label_dim,
                    };
                    return Err(error.into());
                }
                None => {}
            }
        }
        Self::none().with_labels(Tensor::from_vec(
            labels,
            (classes.len(), label_dim),
            device,
        )?)
    }

    /// With class labels `[B, label_dim]`, one-hot; zeros stand for no class.
    ///
    /// # Errors
    ///
    /// Labels of another number of dimensions, or of another batch than the image.
    pub fn with_labels(mut self, labels: Tensor) -> Result<Self> {
        check_rank("labels", 2, "[B, label_dim]", &labels)?;
        self.labels = Some(labels);
        self.checked()
    }

    /// With a conditioning image `[B, C', H, W]`, whose channels stand beside those of x.
    ///
    /// # Errors
    ///
    /// An image of another number of dimensions, or of another batch than the labels.
    pub fn with_image(mut self, image: Tensor) -> Result<Self> {
        check_rank("the conditioning image", 4, "[B, C', H, W]", &image)?;
        self.image = Some(image);
        self.checked()
    }

    /// With what was observed of each sample, `[B, ...]`, of any shape: no model takes it by itself, the wrappers
    /// that restore data do.
    ///
    /// # Errors
    ///
    /// An observation of another batch than labels or image.
    pub fn with_observed(mut self, observed: Tensor) -> Result<Self> {
        self.observed = Some(observed);
        self.checked()
    }

    /// The same for a model that is not told what was observed.
    #[must_use]
    pub fn without_observed(&self) -> Self {
        Self {
            observed: None,
            ..self.clone()
        }
    }

    /// The same for a model that is not told an image.
    #[must_use]
    pub fn without_image(&self) -> Self {
        Self {
            image: None,
            ..self.clone()
        }
    }

    /// The same without class labels: the unconditional case of a model with classes.
    #[must_use]
    pub fn without_labels(&self) -> Self {
        Self {
            labels: None,
            ..self.clone()
        }
    }

    fn checked(self) -> Result<Self> {
        if let (Some(labels), Some(image)) = (&self.labels, &self.image) {
            let (labels, image) = (labels.dim(0)?, image.dim(0)?);
            if labels != image {
                return Err(ConditionError::Batch { labels, image }.into());
            }
        }
        if let (Some(other), Some(observed)) =
            (self.labels.as_ref().or(self.image.as_ref()), &self.observed)
        {
            let (want, got) = (other.dim(0)?, observed.dim(0)?);
            if want != got {
                return Err(ConditionError::ObservedBatch { want, got }.into());
            }
        }
        Ok(self)
    }

    /// Class labels `[B, label_dim]`, one-hot or zeros.
    #[must_use]
    pub fn labels(&self) -> Option<&Tensor> {
        self.labels.as_ref()
    }

    /// The conditioning image `[B, C', H, W]`.
    #[must_use]
    pub fn image(&self) -> Option<&Tensor> {
        self.image.as_ref()
    }

    /// What was observed, `[B, ...]`.
    #[must_use]
    pub fn observed(&self) -> Option<&Tensor> {
        self.observed.as_ref()
    }

    /// Whether there is neither class nor image nor observation.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.labels.is_none() && self.image.is_none() && self.observed.is_none()
    }

    /// The rows of some samples, in the order of `index`, which may repeat; no condition stays none.
    ///
    /// # Errors
    ///
    /// An index beyond the batch, and failures of the tensor backend.
    pub fn rows(&self, index: &[usize]) -> Result<Self> {
        let index: Vec<u32> = index.iter().map(|&i| i as u32).collect();
        self.map(|part| {
            let index = Tensor::new(&index[..], part.device())?;
            part.contiguous()?.index_select(&index, 0)
        })
    }

    /// The whole batch `times` times, one after the other; no condition stays none.
    ///
    /// # Errors
    ///
    /// Failures of the tensor backend.
    pub fn repeat(&self, times: usize) -> Result<Self> {
        self.map(|part| {
            let mut counts = vec![1; part.rank()];
            counts[0] = times;
            part.repeat(counts)
        })
    }

    /// The same condition on `device`.
    ///
    /// # Errors
    ///
    /// Failures of the tensor backend.
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        self.map(|part| part.to_device(device))
    }

    fn map(&self, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Self> {
        Ok(Self {
            labels: self.labels.as_ref().map(&f).transpose()?,
            image: self.image.as_ref().map(&f).transpose()?,
            observed: self.observed.as_ref().map(&f).transpose()?,
        })
    }
}

fn check_rank(name: &'static str, rank: usize, shape: &'static str, part: &Tensor) -> Result<()> {
    if part.rank() == rank {
        return Ok(());
    }
    let got = part.dims().to_vec();
    let error = ConditionError::Rank {
        name,
        rank,
        shape,
        got,
    };
    Err(error.into())
}

/// What conditions a model takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConditionSpec {
    /// Number of classes; 0 for a model without labels.
    pub label_dim: usize,
    /// Channels of the conditioning image; 0 for a model without one.
    pub image_channels: usize,
}

impl ConditionSpec {
    /// Of an unconditional model.
    pub const NONE: Self = Self {
        label_dim: 0,
        image_channels: 0,
    };

    /// Of a model with `label_dim` classes and no conditioning image.
    #[must_use]
    pub const fn classes(label_dim: usize) -> Self {
        Self {
            label_dim,
            image_channels: 0,
        }
    }

    /// Refuses a condition that the model does not take.
    ///
    /// A model with classes may be asked without labels: that is its unconditional case, labels of zeros. A model
    /// with a conditioning image has no such case.
    ///
    /// # Errors
    ///
    /// [`ConditionError`], with the shapes that the query's x asks for.
    pub fn check(&self, query: &Query) -> std::result::Result<(), ConditionError> {
        let batch = query.x.dims().first().copied().unwrap_or(0);
        if query.condition.observed().is_some() {
            return Err(ConditionError::NoObservation);
        }
        if let Some(labels) = query.condition.labels() {
            if self.label_dim == 0 {
                return Err(ConditionError::NoLabels);
            }
            let (want, got) = ([batch, self.label_dim], labels.dims());
            if got != want {
                let got = got.to_vec();
                return Err(ConditionError::LabelShape { want, got });
            }
        }
        match (query.condition.image(), self.image_channels) {
            (None, 0) => Ok(()),
            (None, channels) => Err(ConditionError::ImageMissing(channels)),
            (Some(_), 0) => Err(ConditionError::NoImage),
            (Some(image), channels) => {
                let mut want = vec![batch, channels];
                want.extend(query.x.dims().iter().skip(2));
                if image.dims() == want {
                    return Ok(());
                }
                let got = image.dims().to_vec();
                Err(ConditionError::ImageShape { want, got })
            }
        }
    }
}
