//! Whether data are still the ones that they were.

use crc32fast::Hasher;

use crate::dataset::Dataset;
use crate::error::DataError;
use crate::splits::Splits;
use crate::storage::Storage;

/// Images of a set in files that are decoded for its fingerprint.
const SAMPLED: usize = 64;

impl Dataset {
    /// What tells these data from others, the same wherever copies of them lie: a checksum of the shape, the classes, the
    /// scales of columns, and
    ///
    /// - of data in memory all values, bit by bit,
    /// - of data in files the name and size of each file, and the values of 64 images that lie evenly apart: a change
    ///   within another image that leaves the size of its file as it was goes unnoticed.
    ///
    /// # Errors
    ///
    /// Files that are not as they were.
    pub fn fingerprint(&self) -> Result<String, DataError> {
        let mut sum = Hasher::new();
        let [channels, height, width] = self.image_shape();
        for size in [self.num_images(), channels, height, width] {
            sum.update(&(size as u64).to_le_bytes());
        }
        let mut bytes = Vec::new();
        let mut take = |values: &[f32], sum: &mut Hasher| {
            bytes.clear();
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            sum.update(&bytes);
        };
        let kind = match self.storage() {
            Storage::Files { set, indices, .. } => {
                set.listing(indices, &mut |part| sum.update(part));
                let num = indices.len().min(SAMPLED);
                for i in 0..num {
                    take(&set.read(&[indices[i * indices.len() / num]])?, &mut sum);
                }
                "files"
            }
            memory @ (Storage::Values(_) | Storage::Levels(_)) => {
                memory.each((self.num_images(), self.n()), |values| {
                    for part in values.chunks(1 << 16) {
                        take(part, &mut sum);
                    }
                })?;
                "values"
            }
        };
        if let Some(classes) = self.all_labels().classes() {
            for class in classes.values() {
                sum.update(&class.to_le_bytes());
            }
        }
        for column in self.columns().unwrap_or_default() {
            sum.update(&(column.name.len() as u64).to_le_bytes());
            sum.update(column.name.as_bytes());
            sum.update(&column.shift.to_le_bytes());
            sum.update(&column.scale.to_le_bytes());
        }
        if let Some(input) = self.input() {
            sum.update(input.fingerprint()?.as_bytes());
        }
        Ok(format!("{kind}:{:08x}", sum.finalize()))
    }
}

impl Splits {
    /// What tells both parts from those of other data: their [`Dataset::fingerprint`]s.
    ///
    /// # Errors
    ///
    /// Files that are not as they were.
    pub fn fingerprint(&self) -> Result<String, DataError> {
        let parts = [self.train.fingerprint()?, self.held_out.fingerprint()?];
        Ok(parts.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;
    use crate::labels::ClassLabels;

    fn set(values: &[f32], classes: &[u32]) -> Dataset {
        let images = Tensor::from_slice(values, (values.len() / 2, 1, 1, 2), &Device::Cpu).unwrap();
        let classes = ClassLabels::new(classes.to_vec(), 3);
        Dataset::new("some", &images, Some(classes)).unwrap()
    }

    #[test]
    fn any_value_class_and_order_makes_another_fingerprint() {
        let of = |values: &[f32], classes: &[u32]| set(values, classes).fingerprint().unwrap();
        let first = of(&[0.0, 0.25, 0.5, 0.75], &[0, 1]);
        assert_eq!(first, of(&[0.0, 0.25, 0.5, 0.75], &[0, 1]));
        for (values, classes) in [
            ([0.0, 0.25, 0.5, 0.750_000_06], [0, 1]),
            ([0.5, 0.75, 0.0, 0.25], [0, 1]),
            ([0.0, 0.25, 0.5, 0.75], [1, 0]),
            ([0.0, 0.25, 0.5, 0.75], [0, 2]),
        ] {
            let other = of(&values, &classes);
            assert_ne!(first, other, "{values:?} of classes {classes:?}");
        }
    }
}
