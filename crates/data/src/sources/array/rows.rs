//! Rows of an array as a data set: which axis is which, and which values become -1 and 1.

use serde::{Deserialize, Serialize};

use super::{Array, Element};
use crate::error::DataError;
use crate::file_error::FileError;
use crate::labels::{ClassLabels, Labels, MAX_CLASSES};
use crate::splits::{Divided, MIN_IMAGES, Splits};

/// Channels that a picture can show.
const CHANNELS: [usize; 2] = [1, 3];

/// The most rows: of one value each they fill what a set may have.
const MAX_ROWS: usize = 1 << 29;

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

/// Reads the rows of `array` as the set that is called `set`.
pub(in crate::sources) fn load(
    set: String,
    mut array: Array<'_>,
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
    FileError::check_size(array.path(), num, shape)?;
    let range = range(reading.range, array.element).map_err(|r| array.refuse(r))?;
    let mut divided = Divided::new(set, shape, num);
    for row in 0..num {
        let values = array.next(shape.iter().product())?;
        let scaled = scaled(&values, range, row).map_err(|r| array.refuse(r))?;
        arrange(&scaled, shape, layout, divided.next_image());
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
        (None, Element::U8) => Ok([0.0, 255.0]),
        (None, _) => Err(
            "an array that is not of u8 needs the range of its values, such as range: [0, 1] or range: [-1, 1]"
                .to_string(),
        ),
    }
}

/// Values in `[-1, 1]`: `2 (v - low) / (high - low) - 1`.
fn scaled(values: &[f64], [low, high]: [f64; 2], row: usize) -> Result<Vec<f32>, String> {
    let outside = |value: &f64| !(low..=high).contains(value);
    if let Some(position) = values.iter().position(outside) {
        return Err(format!(
            "value {position} of row {row} must be within the range [{low}, {high}], got {}",
            values[position]
        ));
    }
    let scale = |&value: &f64| (2.0 * ((value - low) / (high - low)) - 1.0) as f32;
    Ok(values.iter().map(scale).collect())
}

/// Appends an image of `shape` `[C, H, W]` with its channels in front.
fn arrange(values: &[f32], shape: [usize; 3], layout: NpyLayout, into: &mut Vec<f32>) {
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
