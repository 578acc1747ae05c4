//! The embedded handwritten digits: 1,797 grey images of 8 by 8 pixels.
//!
//! Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository,
//! 1998, doi:10.24432/C50P49, CC BY 4.0. The notice stands beside the data in `digits/README.md`.

use candle_core::{Device, Tensor};

use crate::dataset::{ClassLabels, DataError, Dataset};
use crate::source::Splits;

/// Rows of 64 pixels, 0 (paper) to 16 (ink), and the class.
static ROWS: &[u8] = include_bytes!("../digits/digits.u8");

const SIDE: usize = 8;
const NUM_CLASSES: usize = 10;

/// Every fifth image, from the fifth on, is held out: 359 of 1,797.
fn is_held_out(index: usize) -> bool {
    index % 5 == 4
}

/// All digits in the file's order; pixel `v` becomes `v / 8 - 1`, exact in `f32`.
fn all() -> Result<Dataset, DataError> {
    let (mut pixels, mut classes) = (Vec::new(), Vec::new());
    for row in ROWS.chunks_exact(SIDE * SIDE + 1) {
        let (image, class) = row.split_at(SIDE * SIDE);
        pixels.extend(image.iter().map(|&v| f32::from(v) / 8.0 - 1.0));
        classes.push(u32::from(class[0]));
    }
    let images = Tensor::from_vec(pixels, (classes.len(), 1, SIDE, SIDE), &Device::Cpu)?;
    Dataset::new(
        "digits",
        &images,
        Some(ClassLabels {
            values: classes,
            num_classes: NUM_CLASSES,
        }),
    )
}

/// The training and held-out parts.
pub(crate) fn splits() -> Result<Splits, DataError> {
    let digits = all()?;
    let (held_out, train): (Vec<usize>, Vec<usize>) =
        (0..digits.num_images()).partition(|&index| is_held_out(index));
    Ok(Splits {
        train: digits.subset("digits/train", &train)?,
        held_out: digits.subset("digits/held_out", &held_out)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_holds_whole_rows() {
        assert_eq!(
            ROWS.len() % (SIDE * SIDE + 1),
            0,
            "bytes beyond the last row"
        );
    }

    // Class counts and pixel sum of sklearn.datasets.load_digits(): numpy.bincount(target), data.sum().
    #[test]
    fn digits_are_those_of_the_source() {
        let digits = all().unwrap();
        let everything: Vec<usize> = (0..digits.num_images()).collect();
        let mut counts = [0; NUM_CLASSES];
        for label in digits.labels(&everything).unwrap().unwrap() {
            counts[label as usize] += 1;
        }
        assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        let pixels = digits
            .images()
            .flatten_all()
            .unwrap()
            .to_vec1::<f32>()
            .unwrap();
        let sum: f64 = pixels.iter().map(|&v| 8.0 * (f64::from(v) + 1.0)).sum();
        assert_eq!(sum, 561_718.0);
    }

    #[test]
    fn parts_are_disjoint_and_complete() {
        let (digits, parts) = (all().unwrap(), splits().unwrap());
        assert_eq!(
            (parts.train.num_images(), parts.held_out.num_images()),
            (1438, 359)
        );
        let cpu = Device::Cpu;
        for k in [0, 1, 358] {
            let held_out = parts
                .held_out
                .batch(&[k], &cpu)
                .unwrap()
                .flatten_all()
                .unwrap();
            let source = digits
                .batch(&[5 * k + 4], &cpu)
                .unwrap()
                .flatten_all()
                .unwrap();
            assert_eq!(
                held_out.to_vec1::<f32>().unwrap(),
                source.to_vec1::<f32>().unwrap(),
                "held-out image {k}"
            );
        }
        let train = parts
            .train
            .batch(&[4], &cpu)
            .unwrap()
            .flatten_all()
            .unwrap();
        let source = digits.batch(&[5], &cpu).unwrap().flatten_all().unwrap();
        assert_eq!(
            train.to_vec1::<f32>().unwrap(),
            source.to_vec1::<f32>().unwrap(),
            "training image 4"
        );
    }
}
