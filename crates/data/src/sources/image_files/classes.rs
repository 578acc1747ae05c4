//! The classes of a set's images: from its label files, or from the folders that the images lie in.

use std::path::Path;

use super::archive::{Archive, Entry};
use super::label_file::{self, LabelFile, MAX_LABEL_BYTES};
use crate::file_error::FileError;
use crate::labels::{ClassLabels, Labels, MAX_CLASSES};

/// Folders that divide a set into parts rather than into classes.
const PARTS: [&str; 8] = [
    "train",
    "training",
    "test",
    "testing",
    "val",
    "valid",
    "validation",
    "images",
];

/// The labels of the images `names`, which are sorted, and what there is to say of them.
///
/// # Errors
///
/// Label files that cannot be read. Labels that cannot serve as classes are not an error here.
pub(super) fn find(
    path: &Path,
    archive: &mut dyn Archive,
    label_files: &[Entry],
    names: &[&str],
) -> Result<(Labels, Vec<String>), FileError> {
    let mut remarks = Vec::new();
    let files = outermost(label_files, &mut remarks);
    let total = files
        .iter()
        .fold(0, |sum: u64, file| sum.saturating_add(file.size));
    if total > MAX_LABEL_BYTES {
        let reason = format!("label files may have up to {} MiB", MAX_LABEL_BYTES >> 20);
        return Err(FileError::entry(path, &files[0].name, reason));
    }
    let mut read = Vec::new();
    for entry in files {
        let json = archive.read_up_to(entry, MAX_LABEL_BYTES)?;
        match label_file::parse(path, &entry.name, &json)? {
            LabelFile::Labels(labels) => read.push((folder_of(&entry.name), labels)),
            // A set that says that it has no labels has none.
            LabelFile::Null => return Ok((Labels::Absent, remarks)),
            LabelFile::Missing => remarks.push(format!("{} holds no labels", entry.name)),
        }
    }
    if read.is_empty() {
        return Ok((of_folders(names, &mut remarks), remarks));
    }
    let again: usize = read.iter().map(|(_, labels)| labels.named_twice).sum();
    if again > 0 {
        let names = if again == 1 {
            "name stands"
        } else {
            "names stand"
        };
        remarks.push(format!(
            "{again} {names} more than once in {}, the last class counts",
            label_file::NAME
        ));
    }
    let labels = label_file::classes(&read, names);
    Ok((
        labels.map_or_else(Labels::Unusable, Labels::Classes),
        remarks,
    ))
}

/// The label files that no other has authority over: those of the outermost folders.
fn outermost<'e>(label_files: &'e [Entry], remarks: &mut Vec<String>) -> Vec<&'e Entry> {
    let folders: Vec<&str> = label_files.iter().map(|e| folder_of(&e.name)).collect();
    let under_another = |folder: &str| {
        let mut others = folders.iter().filter(|other| **other != folder);
        others.any(|other| folder.starts_with(other))
    };
    let (under, outer): (Vec<&Entry>, Vec<&Entry>) = label_files
        .iter()
        .partition(|entry| under_another(folder_of(&entry.name)));
    if let Some(first) = under.first() {
        remarks.push(format!("{} is not read, {} is", first.name, outer[0].name));
    }
    outer
}

/// The folder of a file with a `/` behind it, nothing for a file at the top.
fn folder_of(name: &str) -> &str {
    name.rfind('/').map_or("", |end| &name[..=end])
}

/// Classes by folder, if the images lie in several; classes stand in the order of the folders' names.
fn of_folders(names: &[&str], remarks: &mut Vec<String>) -> Labels {
    let mut folders: Vec<Vec<&str>> = names
        .iter()
        .map(|name| folder_of(name).split('/').filter(is_folder).collect())
        .collect();
    drop_common(&mut folders);
    let parts = |folder: &Vec<&str>| folder.first().is_some_and(|name| is_part(name));
    if folders.iter().all(parts) {
        let mut found: Vec<&str> = folders.iter().map(|folder| folder[0]).collect();
        found.sort_unstable();
        found.dedup();
        remarks.push(format!(
            "the folders {} are read as one set",
            found.join(", ")
        ));
        folders.iter_mut().for_each(|folder| {
            folder.remove(0);
        });
        drop_common(&mut folders);
    }
    let (Some(classes), false) = (first_parts(&folders), are_shards(names)) else {
        let several = folders.iter().any(|folder| !folder.is_empty());
        if several && !are_shards(names) {
            remarks.push("images lie in folders and beside them, which gives no classes".into());
        }
        return Labels::Absent;
    };
    let mut class_names: Vec<&str> = classes.clone();
    class_names.sort_unstable();
    class_names.dedup();
    if class_names.len() < 2 || class_names.len() > MAX_CLASSES {
        return Labels::Absent;
    }
    let number = |class: &&str| {
        let found = class_names.binary_search(class);
        found.expect("every class is among the names of all") as u32
    };
    let values = classes.iter().map(number).collect();
    let first = class_names.iter().take(3).copied().collect::<Vec<_>>();
    let more = if class_names.len() > 3 { ", ..." } else { "" };
    remarks.push(format!(
        "a class for each folder: {}{more}",
        first.join(", ")
    ));
    let class_names = class_names.into_iter().map(String::from).collect();
    Labels::Classes(ClassLabels::named(values, class_names))
}

/// Whether a part of a name is a folder of the set, rather than a step within it or out of it.
fn is_folder(part: &&str) -> bool {
    !matches!(*part, "" | "." | "..")
}

fn is_part(name: &str) -> bool {
    PARTS.contains(&name.to_ascii_lowercase().as_str())
}

/// Removes the folders that all images share.
fn drop_common(folders: &mut [Vec<&str>]) {
    while let Some(&first) = folders[0].first() {
        if folders.iter().any(|folder| folder.first() != Some(&first)) {
            break;
        }
        folders.iter_mut().for_each(|folder| {
            folder.remove(0);
        });
    }
}

/// The outermost folder of each image, if all lie in one.
fn first_parts<'n>(folders: &[Vec<&'n str>]) -> Option<Vec<&'n str>> {
    folders
        .iter()
        .map(|folder| folder.first().copied())
        .collect()
}

/// Whether folders only divide the images by their numbers, a thousand in each, as the published tools do
/// (`00012/img00012345.png`, `12000/12345.png`).
fn are_shards(names: &[&str]) -> bool {
    let number = |text: &str| text.parse::<u64>().ok();
    names.iter().all(|name| {
        let mut parts = name.rsplit('/');
        let file = parts.next().unwrap_or_default();
        let folder = parts.next().unwrap_or_default();
        let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
        let image = number(stem.trim_start_matches(|c: char| !c.is_ascii_digit()));
        match (number(folder), image) {
            (Some(folder_number), Some(image)) if folder.len() >= 4 => {
                folder_number == image / 1000 || folder_number == image / 1000 * 1000
            }
            _ => false,
        }
    })
}
