//! `dataset.json`: the classes of the images.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;

use super::error::ImageFilesError;
use crate::dataset::ClassLabels;

/// The file that holds the classes.
pub(super) const NAME: &str = "dataset.json";
/// More classes than this are a mistake: networks take a class as one value of each.
const MAX_CLASSES: u32 = 1 << 16;

/// What is read of the file; other keys belong to other programs.
#[derive(Deserialize)]
struct File {
    labels: Option<Vec<(String, u32)>>,
}

/// The class of each of `names`, or `None` where the file holds none.
///
/// # Errors
///
/// Another layout, an image without a class, a class that is out of range.
pub(super) fn parse(
    path: &Path,
    json: &[u8],
    names: &[String],
) -> Result<Option<ClassLabels>, ImageFilesError> {
    let bad = |reason: String| ImageFilesError::entry(path, NAME, reason);
    let file: File = serde_json::from_slice(json).map_err(|e| {
        bad(format!(
            "{e}: {{\"labels\": [[name, class], ...]}} is accepted, with null for no labels"
        ))
    })?;
    let Some(labels) = file.labels else {
        return Ok(None);
    };
    let by_name: HashMap<&str, u32> = labels.iter().map(|(name, k)| (name.as_str(), *k)).collect();
    let mut values = Vec::with_capacity(names.len());
    for name in names {
        let class = by_name.get(name.as_str());
        let &class = class.ok_or_else(|| bad(format!("no class for image {name}")))?;
        if class >= MAX_CLASSES {
            let accepted = format!("must be in 0..{MAX_CLASSES}");
            return Err(bad(format!(
                "class of image {name} {accepted}, got {class}"
            )));
        }
        values.push(class);
    }
    let num_classes = values
        .iter()
        .max()
        .map_or(0, |&largest| largest as usize + 1);
    Ok(Some(ClassLabels {
        values,
        num_classes,
    }))
}
