//! Which of several arrays of a file holds the images, and which the classes.

use super::Place;
use crate::file_error::FileError;

/// What images are called, the likeliest first.
const IMAGES: [&str; 9] = [
    "images",
    "image",
    "x",
    "X",
    "data",
    "samples",
    "x_train",
    "train_images",
    "arr_0",
];
/// What classes are called.
const LABELS: [&str; 8] = [
    "labels",
    "label",
    "y",
    "Y",
    "classes",
    "targets",
    "y_train",
    "train_labels",
];

/// The arrays of a file that are read.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::sources) struct Chosen {
    /// Of the images.
    pub images: String,
    /// Of the classes.
    pub labels: Option<String>,
    /// What is not read.
    pub others: Vec<String>,
}

/// Chooses among the arrays `names` of the file at `place`: those that are asked for, else those of the usual names, else
/// the only one there is.
///
/// # Errors
///
/// A name that is not there, no array, and several of which none has a usual name.
pub(in crate::sources) fn choose(
    place: &Place,
    names: &[String],
    images: Option<&str>,
    labels: Option<&str>,
) -> Result<Chosen, FileError> {
    let there = |name: &str| names.iter().any(|other| other == name);
    let list = names.join(", ");
    for name in [images, labels].into_iter().flatten() {
        if !there(name) {
            return Err(place.refuse(format!("holds no array {name}, but {list}")));
        }
    }
    let usual = |of: &[&str]| of.iter().find(|name| there(name)).map(ToString::to_string);
    let images = match (images.map(str::to_string).or_else(|| usual(&IMAGES)), names) {
        (Some(images), _) => images,
        (None, [only]) => only.clone(),
        (None, []) => return Err(place.refuse("holds no array")),
        (None, _) => {
            let reason =
                format!("holds several arrays: name that of the images, images: one of {list}");
            return Err(place.refuse(reason));
        }
    };
    let labels = labels.map(str::to_string).or_else(|| usual(&LABELS));
    let labels = labels.filter(|name| *name != images);
    let read = |name: &String| *name == images || Some(name) == labels.as_ref();
    let others = names.iter().filter(|name| !read(name)).cloned().collect();
    Ok(Chosen {
        images,
        labels,
        others,
    })
}
