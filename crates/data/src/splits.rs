//! The two parts of a data set, and the rule by which it is divided.

use candle_core::{Device, Tensor};

use crate::dataset::Dataset;
use crate::error::DataError;
use crate::found::Found;
use crate::labels::Labels;

/// Fewer images would leave less than two to hold out, which scores compare samples with.
pub const MIN_IMAGES: usize = 10;

/// The two parts of a data set.
#[derive(Clone, Debug)]
pub struct Splits {
    /// What a model learns from.
    pub train: Dataset,
    /// What its samples are compared with; no model sees it.
    pub held_out: Dataset,
    /// What was found where the data were looked for, and what of it was left out.
    pub found: Found,
}

/// Whether image `index` of a set without a test part of its own is held out: every fifth, from the fifth on.
pub(crate) fn is_held_out(index: usize) -> bool {
    index % 5 == 4
}

impl Splits {
    /// Two parts that a source gives, of a set that is called `name`.
    pub fn new(name: impl Into<String>, train: Dataset, held_out: Dataset) -> Self {
        let found = Found::new(name, &train, &held_out);
        Self {
            train,
            held_out,
            found,
        }
    }
}

/// Images that come one after the other and are divided as they come, so that none lies in memory twice.
pub(crate) struct Divided {
    name: String,
    shape: [usize; 3],
    num_images: usize,
    train: Vec<f32>,
    held_out: Vec<f32>,
}

impl Divided {
    /// Room for `num_images` images of `shape` `[C, H, W]`.
    pub(crate) fn new(name: impl Into<String>, shape: [usize; 3], num_images: usize) -> Self {
        let n: usize = shape.iter().product();
        let held_out = (0..num_images).filter(|&index| is_held_out(index)).count();
        Self {
            name: name.into(),
            shape,
            num_images: 0,
            train: Vec::with_capacity((num_images - held_out) * n),
            held_out: Vec::with_capacity(held_out * n),
        }
    }

    /// Where the next image's values, in `[-1, 1]` and in the order of `[C, H, W]`, are to be appended.
    pub(crate) fn next_image(&mut self) -> &mut Vec<f32> {
        let index = self.num_images;
        self.num_images += 1;
        match is_held_out(index) {
            true => &mut self.held_out,
            false => &mut self.train,
        }
    }

    /// Both parts; `labels` are those of all images in the order in which they came.
    pub(crate) fn finish(self, labels: &Labels) -> Result<Splits, DataError> {
        let (held_out, train): (Vec<usize>, Vec<usize>) =
            (0..self.num_images).partition(|&index| is_held_out(index));
        let [channels, height, width] = self.shape;
        let part = |part: &str, values: Vec<f32>, indices: &[usize]| {
            let shape = (indices.len(), channels, height, width);
            let images = Tensor::from_vec(values, shape, &Device::Cpu)?;
            let name = format!("{}/{part}", self.name);
            Dataset::with_labels(name, &images, labels.select(indices))
        };
        let train = part("train", self.train, &train)?;
        let held_out = part("held_out", self.held_out, &held_out)?;
        Ok(Splits::new(self.name, train, held_out))
    }
}
