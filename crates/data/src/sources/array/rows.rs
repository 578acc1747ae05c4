//! Rows of an array as a data set: which axis is which, and which values become -1 and 1.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::in_place::InPlace;
use super::{Array, Element};
use crate::error::DataError;
use crate::file_error::FileError;
use crate::labels::{ClassLabels, Labels, MAX_CLASSES};
use crate::levels::{Depth, Levels};
use crate::splits::{Divided, MIN_IMAGES, Splits, in_files};
use crate::storage::{Room, Stored};

/// Channels that a picture can show.
const CHANNELS: [usize; 2] = [1, 3];

/// The most rows: of one value each they fill what a set may have.
const MAX_ROWS: usize = 1 << 29;

/// What bytes go from and to.
pub(super) const BYTES: [f64; 2] = [0.0, 255.0];

/// How an array is read.
#[derive(Clone, Copy, Debug)]
pub(in crate::sources) struct Reading {
    /// The values that become -1 and 1.
    pub range: Option<[f64; 2]>,
    /// Where the channels stand.
    pub layout: Option<NpyLayout>,
}

/// The order of an image's axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NpyLayout {
    /// Channels last, `[num, h, w, c]`.
    Hwc,
    /// Channels first, `[num, c, h, w]`.
    Chw,
}

/// How the rows of an array become images.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows {
    /// How many.
    pub num: usize,
    /// The shape of an image, `[C, H, W]`.
    pub shape: [usize; 3],
    /// Where its channels stand in the file.
    pub layout: NpyLayout,
    /// The values that become -1 and 1.
    pub range: [f64; 2],
}

impl Rows {
    /// Values of a row.
    pub(super) fn n(&self) -> usize {
        self.shape.iter().product()
    }

    /// Bytes of all rows, `each` of a value.
    fn bytes(&self, each: usize) -> u128 {
        let sizes = self.shape.iter().map(|&size| size as u128);
        each as u128 * self.num as u128 * sizes.product::<u128>()
    }

    /// The error of rows that neither fit the memory nor can be read one by one.
    pub(super) fn too_large(&self, path: &Path) -> FileError {
        let (num, mib) = (self.num, self.bytes(1) >> 20);
        let reason = format!(
            "has {num} rows of {mib} million values together: save it as .npy, which may be larger than the memory"
        );
        FileError::file(path, reason)
    }
}

/// Reads the rows of `array` as the set that is called `set`.
pub(in crate::sources) fn load(
    set: String,
    array: Array<'_>,
    reading: Reading,
    labels: &Labels,
) -> Result<Splits, DataError> {
    load_into(Room::USUAL, set, array, reading, labels)
}

pub(in crate::sources) fn load_into(
    room: Room,
    set: String,
    array: Array<'_>,
    reading: Reading,
    labels: &Labels,
) -> Result<Splits, DataError> {
    let (num, shape, layout) = rows(&array.shape, reading.layout).map_err(|r| array.refuse(r))?;
    if num < MIN_IMAGES {
        let error = FileError::TooFew {
            path: array.path().to_path_buf(),
            what: "rows",
            num,
            skipped: Vec::new(),
        };
        return Err(error.into());
    }
    let range = range(reading.range, array.element).map_err(|r| array.refuse(r))?;
    let rows = Rows {
        num,
        shape,
        layout,
        range,
    };
    let fits = match array.element {
        Element::U8 if range == BYTES => rows.bytes(1) <= room.levels,
        _ => FileError::check_size(array.path(), num, shape).is_ok(),
    };
    if !fits {
        let held: Arc<dyn Stored> = Arc::new(InPlace::checked(array, rows)?);
        return in_files(&set, &held, (num, shape), labels);
    }
    in_memory((set, room), array, rows, labels)
}

/// Reads all rows into memory, many rows of bytes as what they are.
fn in_memory(
    (set, room): (String, Room),
    mut array: Array<'_>,
    rows: Rows,
    labels: &Labels,
) -> Result<Splits, DataError> {
    let of_bytes = array.element == Element::U8 && rows.range == BYTES;
    let mut divided = match of_bytes {
        true => {
            let values = std::array::from_fn(|level| scale(level as f64, rows.range));
            let levels = |capacity| Levels::of_bytes(capacity, values);
            Divided::of_levels(set, rows.shape, (rows.num, room), levels)
        }
        false => Divided::new(set, rows.shape, rows.num),
    };
    let mut image = Vec::with_capacity(rows.n());
    for row in 0..rows.num {
        let values = array.next(rows.n())?;
        let scaled = scaled(&values, rows.range, row).map_err(|r| array.refuse(r))?;
        image.clear();
        arrange(&scaled, rows.shape, rows.layout, &mut image);
        divided.push(&image, Depth::Eight);
    }
    array.end()?;
    divided.finish(labels)
}

/// The number of rows, the shape of one as `[C, H, W]`, and where its channels stand in the file.
fn rows(
    shape: &[usize],
    layout: Option<NpyLayout>,
) -> Result<(usize, [usize; 3], NpyLayout), String> {
    let (num, row) = match *shape {
        [num, 2] => (num, ([2, 1, 1], NpyLayout::Chw)),
        [num, n] => (num, ([1, 1, n], NpyLayout::Chw)),
        [num, h, w] => (num, ([1, h, w], NpyLayout::Chw)),
        [num, a, b, c] => (num, image(a, b, c, layout)?),
        _ => {
            return Err(format!(
                "has shape {shape:?}, accepted are [num, n], [num, h, w], [num, h, w, c] and [num, c, h, w]"
            ));
        }
    };
    match row.0.contains(&0) {
        false => Ok((num, row.0, row.1)),
        true => Err(format!(
            "has shape {shape:?}, rows without a value are not accepted"
        )),
    }
}

fn image(
    a: usize,
    b: usize,
    c: usize,
    layout: Option<NpyLayout>,
) -> Result<([usize; 3], NpyLayout), String> {
    let (first, last) = (CHANNELS.contains(&a), CHANNELS.contains(&c));
    let layout = match (layout, first, last) {
        (Some(NpyLayout::Chw), true, _) | (None, true, false) => NpyLayout::Chw,
        (Some(NpyLayout::Hwc), _, true) | (None, false, true) => NpyLayout::Hwc,
        (None, true, true) => {
            return Err(format!(
                "images of shape [{a}, {b}, {c}] can be read in two ways: state layout: hwc or layout: chw"
            ));
        }
        _ => {
            return Err(format!(
                "images of shape [{a}, {b}, {c}] must have 1 or 3 channels"
            ));
        }
    };
    match layout {
        NpyLayout::Chw => Ok(([a, b, c], layout)),
        NpyLayout::Hwc => Ok(([c, a, b], layout)),
    }
}

fn range(range: Option<[f64; 2]>, element: Element) -> Result<[f64; 2], String> {
    match (range, element) {
        (Some([low, high]), _) if low < high && low.is_finite() && high.is_finite() => {
            Ok([low, high])
        }
        (Some([low, high]), _) => Err(format!(
            "range must be two numbers, the smaller first, got [{low}, {high}]"
        )),
        (None, Element::U8) => Ok(BYTES),
        (None, _) => Err(
            "an array that is not of u8 needs the range of its values, such as range: [0, 1] or range: [-1, 1]"
                .to_string(),
        ),
    }
}

/// Values in `[-1, 1]`: `2 (v - low) / (high - low) - 1`.
pub(super) fn scaled(
    values: &[f64],
    [low, high]: [f64; 2],
    row: usize,
) -> Result<Vec<f32>, String> {
    let outside = |value: &f64| !(low..=high).contains(value);
    if let Some(position) = values.iter().position(outside) {
        return Err(format!(
            "value {position} of row {row} must be within the range [{low}, {high}], got {}: give a range that holds every \
             value, or cut them off",
            values[position]
        ));
    }
    let scaled = values.iter().map(|&value| scale(value, [low, high]));
    Ok(scaled.collect())
}

fn scale(value: f64, [low, high]: [f64; 2]) -> f32 {
    (2.0 * ((value - low) / (high - low)) - 1.0) as f32
}

/// Appends an image of `shape` `[C, H, W]` with its channels in front.
pub(super) fn arrange(values: &[f32], shape: [usize; 3], layout: NpyLayout, into: &mut Vec<f32>) {
    match layout {
        NpyLayout::Chw => into.extend(values),
        NpyLayout::Hwc => {
            let channel = |c: usize| values.iter().skip(c).step_by(shape[0]);
            (0..shape[0]).for_each(|c| into.extend(channel(c)));
        }
    }
}

/// The classes of `num` rows, which an array of whole numbers holds.
pub(in crate::sources) fn classes(
    mut array: Array<'_>,
    num: usize,
) -> Result<ClassLabels, FileError> {
    if array.shape.first() != Some(&num) || array.shape[1..].iter().any(|&size| size != 1) {
        let shape = &array.shape;
        return Err(array.refuse(format!("labels must have shape [{num}], got {shape:?}")));
    }
    if num > MAX_ROWS {
        return Err(array.refuse(format!("has {num} labels, up to {MAX_ROWS} are accepted")));
    }
    if matches!(array.element, Element::F32 | Element::F64) {
        return Err(array.refuse("labels must be whole numbers, got floats".to_string()));
    }
    let mut values = Vec::with_capacity(num);
    for (row, label) in array.next(num)?.into_iter().enumerate() {
        if !(0.0..MAX_CLASSES as f64).contains(&label) {
            let accepted = format!("must be in 0..{MAX_CLASSES}");
            return Err(array.refuse(format!("label of row {row} {accepted}, got {label}")));
        }
        values.push(label as u32);
    }
    array.end()?;
    let largest = values.iter().max();
    let num_classes = largest.map_or(0, |&largest| largest as usize + 1);
    Ok(ClassLabels::new(values, num_classes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dataset;
    use crate::mutated::mutated;

    /// A `.npy` file of `num` rows of `[2, 1, 3]`, byte `i` of the elements is `i % 251` or, of `f32`, that over 100.
    fn npy(path: &Path, descr: &str, num: usize) {
        let text = format!(
            "{{'descr': '{descr}', 'fortran_order': False, 'shape': ({num}, 2, 1, 3), }}\n"
        );
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        for i in 0..6 * num {
            match descr {
                "|u1" => bytes.push((i % 251) as u8),
                _ => bytes.extend(((i % 251) as f32 / 100.0).to_le_bytes()),
            }
        }
        std::fs::write(path, bytes).unwrap();
    }

    fn values(set: &Dataset) -> Vec<f32> {
        set.images()
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1()
            .unwrap()
    }

    #[test]
    fn rows_of_bytes_are_the_same_to_the_bit_wherever_they_lie() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        npy(&path, "|u1", 60);
        let reading = Reading {
            range: None,
            layout: None,
        };
        let [all, levels, files] =
            [(1 << 20, 1 << 20), (0, 1 << 20), (0, 0)].map(|(values, levels)| {
                let room = Room { values, levels };
                let array = Array::open_npy(&path).unwrap();
                load_into(room, "x".to_string(), array, reading, &Labels::Absent).unwrap()
            });
        assert!(files.train.is_in_files() && !levels.train.is_in_files());
        assert_eq!(all.train.image_shape(), [3, 2, 1]);
        for other in [&levels, &files] {
            assert_eq!(values(&other.train), values(&all.train));
            assert_eq!(values(&other.held_out), values(&all.held_out));
        }
    }

    #[test]
    fn rows_that_stay_in_their_file_are_all_looked_at_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        npy(&path, "<f4", 60);
        let rows = |range| Rows {
            num: 60,
            shape: [3, 2, 1],
            layout: NpyLayout::Hwc,
            range,
        };
        let checked = |range| InPlace::checked(Array::open_npy(&path).unwrap(), rows(range));
        let held = checked([0.0, 2.5]).unwrap();
        let got = held.read(&[1]).unwrap();
        // The second row holds 6 to 11, its channels last.
        let want = [6.0, 9.0, 7.0, 10.0, 8.0, 11.0].map(|v: f32| 2.0 * (v / 100.0 / 2.5) - 1.0);
        for (got, want) in got.iter().zip(want) {
            assert!((got - want).abs() < 1e-6, "got {got}, want {want}");
        }
        let got = checked([0.0, 2.4]).unwrap_err().to_string();
        assert!(
            got.contains("of row 40 must be within the range"),
            "got {got}"
        );
        let packed = |array: Array<'static>| Array {
            start: None,
            ..array
        };
        let got = InPlace::checked(packed(Array::open_npy(&path).unwrap()), rows([0.0, 2.5]));
        let got = got.unwrap_err().to_string();
        assert!(got.contains("save it as .npy"), "got {got}");
    }

    #[test]
    fn a_damaged_file_that_rows_stay_in_is_read_or_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        npy(&path, "|u1", 60);
        let whole = std::fs::read(&path).unwrap();
        let reading = Reading {
            range: None,
            layout: None,
        };
        let room = Room {
            values: 0,
            levels: 0,
        };
        let mut read = 0;
        for seed in 0..200 {
            std::fs::write(&path, mutated(&whole, seed)).unwrap();
            let array = Array::open_npy(&path).map_err(DataError::from);
            let loaded = array.and_then(|array| {
                load_into(room, "x".to_string(), array, reading, &Labels::Absent)
            });
            match loaded.and_then(|splits| splits.train.images()) {
                Ok(_) => read += 1,
                Err(error) => {
                    let got = error.to_string();
                    assert!(got.contains("x.npy"), "mutation {seed}: got {got}");
                    assert_eq!(got.lines().count(), 1, "mutation {seed}: got {got}");
                }
            }
        }
        assert!((1..200).contains(&read), "got {read} read");
    }
}
