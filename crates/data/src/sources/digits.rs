//! The embedded handwritten digits: 1,797 grey images of 8 by 8 pixels.
//!
//! Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository,
//! 1998, doi:10.24432/C50P49, CC BY 4.0. The notice stands beside the data in `digits/README.md`.

use crate::error::DataError;
use crate::labels::{ClassLabels, Labels};
use crate::source::Source;
use crate::splits::{Divided, Splits};

/// Rows of 64 pixels, 0 (paper) to 16 (ink), and the class.
static ROWS: &[u8] = include_bytes!("../../digits/digits.u8");

const SIDE: usize = 8;
const NUM_CLASSES: usize = 10;

/// The digits in the file's order; image `i` is held out when `i % 5 == 4`, 359 of 1,797.
pub(crate) struct Digits;

impl Source for Digits {
    fn name(&self) -> String {
        "digits".to_string()
    }

    /// Pixel `v` becomes `v / 8 - 1`, exact in `f32`.
    fn load(&self) -> Result<Splits, DataError> {
        let rows = ROWS.chunks_exact(SIDE * SIDE + 1);
        let mut digits = Divided::new(self.name(), [1, SIDE, SIDE], rows.len());
        let mut classes = Vec::with_capacity(rows.len());
        for row in rows {
            let (image, class) = row.split_at(SIDE * SIDE);
            let pixels = image.iter().map(|&v| f32::from(v) / 8.0 - 1.0);
            digits.next_image().extend(pixels);
            classes.push(u32::from(class[0]));
        }
        digits.finish(&Labels::Classes(ClassLabels::new(classes, NUM_CLASSES)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dataset;

    #[test]
    fn file_holds_whole_rows() {
        assert_eq!(
            ROWS.len() % (SIDE * SIDE + 1),
            0,
            "bytes beyond the last row"
        );
    }

    fn levels(dataset: &Dataset) -> Vec<u8> {
        let mut levels = Vec::new();
        let level = |&v: &f32| (8.0 * (v + 1.0)) as u8;
        dataset
            .each(|values| levels.extend(values.iter().map(level)))
            .unwrap();
        levels
    }

    // Class counts and pixel sum of sklearn.datasets.load_digits(): numpy.bincount(target), data.sum().
    #[test]
    fn digits_are_those_of_the_source() {
        let parts = Digits.load().unwrap();
        let counts = parts.train.class_counts().into_iter();
        let counts: Vec<usize> = counts
            .zip(parts.held_out.class_counts())
            .map(|(train, held_out)| train + held_out)
            .collect();
        assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        let sum = |part: &Dataset| levels(part).iter().map(|&v| u32::from(v)).sum::<u32>();
        assert_eq!(sum(&parts.train) + sum(&parts.held_out), 561_718);
    }

    #[test]
    fn parts_are_disjoint_and_complete_with_labels_beside_their_images() {
        let parts = Digits.load().unwrap();
        let counts = (parts.train.num_images(), parts.held_out.num_images());
        assert_eq!(counts, (1438, 359));
        let (train, held_out) = (levels(&parts.train), levels(&parts.held_out));
        let (mut next_train, mut next_held_out) = (0, 0);
        for (index, row) in ROWS.chunks_exact(65).enumerate() {
            let (values, part, k) = match index % 5 {
                4 => (&held_out, &parts.held_out, &mut next_held_out),
                _ => (&train, &parts.train, &mut next_train),
            };
            assert_eq!(values[64 * *k..64 * (*k + 1)], row[..64], "image {index}");
            assert_eq!(class_of(part, *k), u32::from(row[64]), "label {index}");
            *k += 1;
        }
    }

    fn class_of(part: &Dataset, k: usize) -> u32 {
        part.labels(&[k]).unwrap().unwrap()[0]
    }
}
