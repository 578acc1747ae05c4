//! The two parts of a data set, and the rule by which it is divided.

use std::sync::Arc;

use candle_core::{Device, Tensor};

use crate::dataset::Dataset;
use crate::error::DataError;
use crate::found::Found;
use crate::labels::Labels;
use crate::levels::{Depth, Levels};
use crate::storage::{Room, Stored};

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
    /// The names of all images in their order, of those that come from files of their own.
    pub(crate) names: Option<Vec<String>>,
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
            names: None,
        }
    }
}

/// Images that come one after the other and are divided as they come, so that none lies in memory twice.
pub(crate) struct Divided {
    name: String,
    shape: [usize; 3],
    num_images: usize,
    train: Kept,
    held_out: Kept,
}

/// The values of a part.
enum Kept {
    Values(Vec<f32>),
    Levels(Levels),
}

impl Divided {
    /// Room for `num_images` images of `shape` `[C, H, W]`.
    pub(crate) fn new(name: impl Into<String>, shape: [usize; 3], num_images: usize) -> Self {
        Self::keeping(name, shape, num_images, |capacity| {
            Kept::Values(Vec::with_capacity(capacity))
        })
    }

    /// As [`Self::new`], of images made of levels, which they are kept as where their values have no `room`; `levels` are none yet, given how
    /// many there will be.
    pub(crate) fn of_levels(
        name: impl Into<String>,
        shape: [usize; 3],
        (num_images, room): (usize, Room),
        levels: impl Fn(usize) -> Levels,
    ) -> Self {
        let sizes = shape.iter().map(|&size| size as u128);
        match 4 * sizes.product::<u128>() * num_images as u128 <= room.values {
            true => Self::new(name, shape, num_images),
            false => Self::keeping(name, shape, num_images, |capacity| {
                Kept::Levels(levels(capacity))
            }),
        }
    }

    fn keeping(
        name: impl Into<String>,
        shape: [usize; 3],
        num_images: usize,
        kept: impl Fn(usize) -> Kept,
    ) -> Self {
        let n: usize = shape.iter().product();
        let held_out = (0..num_images).filter(|&index| is_held_out(index)).count();
        Self {
            name: name.into(),
            shape,
            num_images: 0,
            train: kept((num_images - held_out) * n),
            held_out: kept(held_out * n),
        }
    }

    /// Takes the next image's `values`, in `[-1, 1]` and in the order of `[C, H, W]`, made of levels of `depth` if the
    /// images are made of levels.
    pub(crate) fn push(&mut self, values: &[f32], depth: Depth) {
        match self.next_part() {
            Kept::Values(all) => all.extend_from_slice(values),
            Kept::Levels(levels) => levels.append(values, depth),
        }
    }

    /// Where the values of the next image are to be appended, as [`Self::push`] takes them.
    ///
    /// # Panics
    ///
    /// Where images are kept as levels.
    pub(crate) fn next_image(&mut self) -> &mut Vec<f32> {
        match self.next_part() {
            Kept::Values(all) => all,
            Kept::Levels(_) => unreachable!("images made of levels are pushed"),
        }
    }

    fn next_part(&mut self) -> &mut Kept {
        let index = self.num_images;
        self.num_images += 1;
        match is_held_out(index) {
            true => &mut self.held_out,
            false => &mut self.train,
        }
    }

    /// Both parts; `labels` are those of all images in the order in which they came.
    pub(crate) fn finish(self, labels: &Labels) -> Result<Splits, DataError> {
        let (train, held_out) = parts(self.num_images);
        let part = |part: &str, kept: Kept, indices: &[usize]| {
            let (name, labels) = (format!("{}/{part}", self.name), labels.select(indices));
            match kept {
                Kept::Levels(levels) => Dataset::of_levels(name, levels, self.shape, labels),
                Kept::Values(values) => {
                    let [channels, height, width] = self.shape;
                    let shape = (indices.len(), channels, height, width);
                    let images = Tensor::from_vec(values, shape, &Device::Cpu)?;
                    Dataset::with_labels(name, &images, labels)
                }
            }
        };
        let train = part("train", self.train, &train)?;
        let held_out = part("held_out", self.held_out, &held_out)?;
        Ok(Splits::new(self.name, train, held_out))
    }
}

/// A set of `num_images` images of `shape` that stay in their files.
pub(crate) fn in_files(
    name: &str,
    set: &Arc<dyn Stored>,
    (num_images, shape): (usize, [usize; 3]),
    labels: &Labels,
) -> Result<Splits, DataError> {
    let (train, held_out) = parts(num_images);
    let part = |part: &str, indices: Vec<usize>| {
        let labels = labels.select(&indices);
        let set = set.clone();
        Dataset::in_files(format!("{name}/{part}"), set, (indices, shape), labels)
    };
    let mut splits = Splits::new(name, part("train", train)?, part("held_out", held_out)?);
    let compared = [
        splits.train.num_reference_images(),
        splits.held_out.num_reference_images(),
    ];
    splits.found.remarks.push(format!(
        "they are read from their files as they are needed; statistics are taken of {} images, samples are compared with {}",
        compared[0], compared[1]
    ));
    Ok(splits)
}

/// The images to learn from and those held out, of `num_images`.
fn parts(num_images: usize) -> (Vec<usize>, Vec<usize>) {
    (0..num_images).partition(|&index| !is_held_out(index))
}
