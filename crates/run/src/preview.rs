//! Which samples a picture of a run shows, and in what order.

use candle_core::{Device, Tensor};
use pfgmpp_data::{Dataset, Picture, is_planar};

use crate::error::RunError;
use crate::grid::{sample_grid, sample_rows, shown_samples};
use crate::sampling_model::SamplingModel;

/// The most classes that have a row of the picture each.
const ROWS: usize = 16;
/// The most samples in such a row.
const COLUMNS: usize = 8;

/// Some of a run's samples: images of a model of few classes with one row for each class, any others in their order.
pub struct Preview {
    /// Their places among the samples.
    indices: Vec<usize>,
    /// Their seeds.
    pub seeds: Vec<u64>,
    /// Samples in a row, where rows stand for classes.
    columns: Option<usize>,
}

impl Preview {
    /// What to show of the samples of `seeds`.
    pub fn of(model: &SamplingModel, seeds: &[u64]) -> Self {
        let rows = match model.classes(seeds) {
            Some(classes) if !is_planar(model.shape()) => class_rows(&classes, model.label_dim()),
            _ => None,
        };
        let (indices, columns) = match rows {
            Some((indices, columns)) => (indices, Some(columns)),
            None => {
                let shown = shown_samples(model.shape()).min(seeds.len());
                ((0..shown).collect(), None)
            }
        };
        Self {
            seeds: indices.iter().map(|&index| seeds[index]).collect(),
            indices,
            columns,
        }
    }

    /// Those of `samples` `[num, C, H, W]`, the samples of all seeds, that are shown.
    pub fn select(&self, samples: &Tensor) -> candle_core::Result<Tensor> {
        let indices = self.indices.iter().map(|&index| index as i64);
        samples.index_select(&Tensor::from_iter(indices, &Device::Cpu)?, 0)
    }

    /// The picture of the samples that are shown; points in the plane are drawn over the points `behind`.
    pub fn draw(&self, samples: &Tensor, behind: &Dataset) -> Result<Picture, RunError> {
        match self.columns {
            Some(columns) => Ok(sample_rows(samples, columns)?),
            None if behind.is_planar() => {
                Ok(sample_grid(samples, Some(&behind.reference_images()?))?)
            }
            None => Ok(sample_grid(samples, None)?),
        }
    }
}

/// The first samples of each class that there is, class after class, as many of each, and how many of each; `None` of
/// one class or too many.
fn class_rows(classes: &[usize], label_dim: usize) -> Option<(Vec<usize>, usize)> {
    let of = |class| move |&index: &usize| classes[index] == class;
    let rows: Vec<Vec<usize>> = (0..label_dim)
        .map(|class| (0..classes.len()).filter(of(class)).take(COLUMNS).collect())
        .filter(|row: &Vec<usize>| !row.is_empty())
        .take(ROWS + 1)
        .collect();
    if !(2..=ROWS).contains(&rows.len()) {
        return None;
    }
    let columns = rows.iter().map(Vec::len).min().unwrap_or(0);
    let indices = rows.iter().flat_map(|row| &row[..columns]).copied();
    Some((indices.collect(), columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_holds_the_first_samples_of_its_class() {
        let classes = [2, 0, 2, 2, 0, 5];
        let (indices, columns) = class_rows(&classes, 6).expect("three rows");
        assert_eq!((indices, columns), (vec![1, 0, 5], 1));
        let (indices, columns) = class_rows(&classes[..5], 6).expect("two rows");
        assert_eq!((indices, columns), (vec![1, 4, 0, 2], 2));
    }

    #[test]
    fn one_class_and_many_classes_have_no_rows() {
        let many: Vec<usize> = (0..200).map(|index| index % 17).collect();
        assert!(class_rows(&many, 17).is_none());
        assert!(class_rows(&[3; 20], 10).is_none());
        let sixteen: Vec<usize> = (0..200).map(|index| index % 16).collect();
        let (indices, columns) = class_rows(&sixteen, 16).expect("a row each");
        assert_eq!((indices.len(), columns), (128, 8));
    }
}
