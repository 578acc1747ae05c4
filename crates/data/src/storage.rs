//! Where the values of a data set lie: in memory, as values or as levels, or in their files.

use std::fmt::Debug;
use std::sync::Arc;

use candle_core::{Device, Storage as TensorStorage, Tensor};

use crate::ahead::Ahead;
use crate::error::DataError;
use crate::file_error::FileError;
use crate::levels::Levels;

/// How much of a data set may lie in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Bytes up to which values made of levels lie there as `f32`.
    pub values: u128,
    /// Bytes up to which the levels do; what has more stays in its files.
    pub levels: u128,
}

impl Room {
    /// What every data set has.
    pub(crate) const USUAL: Self = Self {
        values: 256 << 20,
        levels: 1 << 30,
    };
}

/// Values at a time, where all are looked at one after the other.
const AT_A_TIME: usize = 1 << 20;

/// Images that are read from their files when they are asked for.
pub(crate) trait Stored: Debug + Send + Sync {
    /// The values of the images at `indices`, one after the other, `[C, H, W]` in `[-1, 1]` each.
    ///
    /// # Errors
    ///
    /// A file that is not as it was said to be.
    fn read(&self, indices: &[usize]) -> Result<Vec<f32>, FileError>;

    /// Gives to `take` what the files of the images at `indices` are called and how large they are, as bytes.
    fn listing(&self, indices: &[usize], take: &mut dyn FnMut(&[u8]));
}

/// The values of a data set of `num` images.
#[derive(Clone, Debug)]
pub(crate) enum Storage {
    /// `[num, C, H, W]`, `f32`, contiguous, in host memory.
    Values(Tensor),
    /// Levels of all images, one after the other.
    Levels(Arc<Levels>),
    /// Images of a set in files; the data set has those at `indices` of it.
    Files {
        /// The set.
        set: Arc<dyn Stored>,
        /// Which of its images.
        indices: Arc<Vec<usize>>,
        /// Those that were asked for before they are needed.
        ahead: Arc<Ahead>,
    },
}

impl Storage {
    /// The images at `indices` of a set in files.
    pub(crate) fn files(set: Arc<dyn Stored>, indices: Vec<usize>) -> Self {
        Self::Files {
            set,
            indices: Arc::new(indices),
            ahead: Arc::default(),
        }
    }

    /// The images at `indices`, `[B, C, H, W]`, `f32`, in host memory.
    pub(crate) fn batch(&self, indices: &[usize], shape: [usize; 3]) -> Result<Tensor, DataError> {
        let n: usize = shape.iter().product();
        let values = match self {
            Self::Values(images) => {
                // An i64 index serves any size; u32 would wrap silently.
                let index = indices.iter().map(|&index| index as i64);
                let index = Tensor::from_iter(index, &Device::Cpu)?;
                return Ok(images.index_select(&index, 0)?);
            }
            Self::Levels(levels) => {
                let mut values = Vec::with_capacity(indices.len() * n);
                for &index in indices {
                    levels.read(index * n..(index + 1) * n, &mut values);
                }
                values
            }
            Self::Files {
                set,
                indices: own,
                ahead,
            } => ahead.read(set, &in_set(own, indices), n)?,
        };
        let [channels, height, width] = shape;
        let shape = (indices.len(), channels, height, width);
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    }

    /// Begins to read the images at `indices`, if that takes any time.
    pub(crate) fn prepare(&self, indices: &[usize]) {
        if let Self::Files {
            set,
            indices: own,
            ahead,
        } = self
        {
            ahead.begin(set, in_set(own, indices));
        }
    }

    /// Gives all values to `take`, in their order, a number of whole images of `n` values at a time.
    pub(crate) fn each(
        &self,
        (num, n): (usize, usize),
        mut take: impl FnMut(&[f32]),
    ) -> Result<(), DataError> {
        if let Self::Values(images) = self {
            let (storage, layout) = images.storage_and_layout();
            let (TensorStorage::Cpu(values), Some((start, end))) =
                (&*storage, layout.contiguous_offsets())
            else {
                unreachable!("values are contiguous and in host memory");
            };
            take(&values.as_slice::<f32>()?[start..end]);
            return Ok(());
        }
        let mut values = Vec::new();
        for start in (0..num).step_by((AT_A_TIME / n).max(1)) {
            let part = start..num.min(start + (AT_A_TIME / n).max(1));
            values.clear();
            match self {
                Self::Levels(levels) => levels.read(part.start * n..part.end * n, &mut values),
                Self::Files {
                    set, indices: own, ..
                } => values = set.read(&own[part])?,
                Self::Values(_) => {}
            }
            take(&values);
        }
        Ok(())
    }
}

fn in_set(own: &[usize], indices: &[usize]) -> Vec<usize> {
    indices.iter().map(|&index| own[index]).collect()
}
