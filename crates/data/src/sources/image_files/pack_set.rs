//! A data set of any source as a ZIP archive, in the layout of the published EDM data sets.

use std::io::Cursor;
use std::path::Path;

use ::zip::write::ZipWriter;
use candle_core::{Device, Tensor};

use super::label_file;
use super::pack::{Packed, add, dataset_json, name_of};
use crate::dataset::{Dataset, is_image};
use crate::error::DataError;
use crate::file_error::FileError;
use crate::labels::ClassLabels;
use crate::picture::to_image;
use crate::splits::{Splits, is_held_out};

/// How far a value may lie from one of 256 levels, in levels, and still count as one.
const EXACT: f32 = 1e-3;

/// Packs both parts of a data set as 8-bit PNG with their classes in `dataset.json`, as [`pack`](super::pack()) does with
/// photographs. `progress` is told of each image, and of how many there are.
///
/// Where the parts are a fifth and the rest, as of a source without a test part of its own, images take the order in which
/// reading the archive parts them the same way; otherwise those to learn from come first.
///
/// # Errors
///
/// Data that are no images of 1 or 3 channels in [-1, 1], and files that are not as they were.
pub fn pack_set(
    splits: &Splits,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Packed, DataError> {
    let parts = [&splits.train, &splits.held_out];
    let name = splits.found.name.as_str();
    let path = Path::new(name);
    let shape = splits.train.image_shape();
    if !is_image(shape) || !matches!(shape[0], 1 | 3) {
        let reason = format!("must be images of 1 or 3 channels, got items of shape {shape:?}");
        return Err(FileError::file(path, reason).into());
    }
    if splits.train.input().is_some() {
        let reason = "an archive holds no pairs: pack the input and the target each by itself";
        return Err(FileError::file(path, reason).into());
    }
    for part in parts {
        let range = part.range()?;
        if *range.start() < -1.0 || *range.end() > 1.0 {
            let (low, high) = (range.start(), range.end());
            let reason =
                format!("pictures hold values from -1 to 1, got some from {low} to {high}");
            return Err(FileError::file(path, reason).into());
        }
    }
    let order = order(parts.map(Dataset::num_images));
    let unwritten = |e: ::zip::result::ZipError| {
        DataError::from(FileError::file(path, format!("cannot be packed: {e}")))
    };
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let mut rounded = false;
    for (place, &(part, index)) in order.iter().enumerate() {
        let image = parts[part].batch(&[index], &Device::Cpu)?.squeeze(0)?;
        rounded = rounded || is_between_levels(&image)?;
        let png = to_image(&image).and_then(|picture| picture.to_png());
        let png = png.map_err(|e| FileError::file(path, e.to_string()))?;
        add(&mut zip, &name_of(place), &png).map_err(unwritten)?;
        progress(place + 1, order.len());
    }
    let classes = classes(parts, &order);
    let json = dataset_json(classes.as_ref(), order.len());
    add(&mut zip, label_file::NAME, json.as_bytes()).map_err(unwritten)?;
    let bytes = zip.finish().map_err(unwritten)?.into_inner();
    let mut remarks = splits.found.remarks.clone();
    if rounded {
        remarks.push("values are rounded to the 256 levels of a PNG".to_string());
    }
    if !is_a_fifth(parts.map(Dataset::num_images)) {
        remarks.push(format!(
            "the {} images to learn from come first, then the {} held out; the archive holds out every fifth",
            parts[0].num_images(),
            parts[1].num_images()
        ));
    }
    Ok(Packed {
        bytes,
        num_images: order.len(),
        shape,
        num_classes: classes.map_or(0, |classes| classes.num_classes()),
        skipped: splits.found.skipped.clone(),
        remarks,
    })
}

/// Whether the second part is every fifth of all.
fn is_a_fifth([train, held_out]: [usize; 2]) -> bool {
    held_out == (train + held_out) / 5
}

/// Of each image of the archive, its part and its place there.
fn order([train, held_out]: [usize; 2]) -> Vec<(usize, usize)> {
    let total = train + held_out;
    let mut next = [0, 0];
    let mut take = |part: usize| {
        next[part] += 1;
        (part, next[part] - 1)
    };
    let parted = is_a_fifth([train, held_out]);
    (0..total)
        .map(|index| match parted {
            true => take(usize::from(is_held_out(index))),
            false => take(usize::from(index >= train)),
        })
        .collect()
}

/// Whether a value of `image` is none of the 256 levels.
fn is_between_levels(image: &Tensor) -> Result<bool, DataError> {
    let values = image.flatten_all()?.to_vec1::<f32>()?;
    let level = |value: f32| 127.5 * (value + 1.0);
    Ok(values
        .iter()
        .any(|&value| (level(value) - level(value).round()).abs() > EXACT))
}

/// The classes of all images in the archive's order, where both parts have such.
fn classes(parts: [&Dataset; 2], order: &[(usize, usize)]) -> Option<ClassLabels> {
    let both = parts.map(|part| part.class_labels().ok().flatten());
    let [Some(train), Some(held_out)] = both else {
        return None;
    };
    let values = order.iter().map(|&(part, index)| match part {
        0 => train.values()[index],
        _ => held_out.values()[index],
    });
    let values = values.collect();
    Some(match train.names() {
        [] => ClassLabels::new(values, train.num_classes()),
        names => ClassLabels::named(values, names.to_vec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_that_is_read_again_parts_its_images_the_same_way() {
        let got = order([8, 2]);
        for (index, (part, _)) in got.iter().enumerate() {
            assert_eq!(*part == 1, is_held_out(index), "image {index}");
        }
        let tests_of_its_own = order([3, 3]);
        assert_eq!(tests_of_its_own[3], (1, 0));
    }
}
