//! Where samples go: checked before any work is done.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, is_separator};

use pfgmpp_data::is_planar;
use pfgmpp_run::{RunError, SampleFormat, SamplingModel, check_drawable};
use pfgmpp_store::{check_writable, remove_partial_of};

use crate::failure::Failure;
use crate::out_file;

/// The largest number of samples that one grid shows.
const MAX_GRID: u64 = 4096;
/// Endings of files that are longer than [`SHORT`].
const LONG: [&str; 4] = ["safetensors", "parquet", "tfrecord", "tfrecords"];
/// Characters of the endings of most files.
const SHORT: usize = 5;

/// What samples are written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One picture of all.
    Grid,
    /// A picture of each, in a folder.
    Pictures,
    /// One file of arrays.
    Array(SampleFormat),
}

impl Form {
    /// What the name of `out` asks for.
    pub fn of(out: &Path) -> Self {
        if out.to_string_lossy().ends_with(is_separator) {
            return Self::Pictures;
        }
        match (SampleFormat::of(out), out.extension()) {
            (Some(format), _) => Self::Array(format),
            (None, Some(ending)) if ending.eq_ignore_ascii_case("png") => Self::Grid,
            _ => Self::Pictures,
        }
    }
}

/// Refuses a place that cannot be written to, and a name of a file that is not written.
pub fn check(out: &Path, form: Form, num: u64, overwrite: bool) -> Result<(), Failure> {
    let (as_grid, one_file) = (form == Form::Grid, form != Form::Pictures);
    let refuse = |message: &str| Err(Failure::bad_input(format!("{}: {message}", out.display())));
    if out.as_os_str().is_empty() {
        return Err(Failure::bad_input(
            "--out: must be a name that ends in .png, or a folder, got none",
        ));
    }
    if !one_file && !out.is_dir() && is_of_a_file(out) {
        return refuse(
            "samples are written as .png, .npz, .npy, .safetensors or .csv: give such a name, or a folder, with / at its end",
        );
    }
    if as_grid && num > MAX_GRID {
        return Err(Failure::bad_input(format!(
            "--num: a grid shows up to {MAX_GRID} samples, got {num}: give a folder or a name that ends in .npz to --out"
        )));
    }
    if one_file {
        return out_file::check(out, &[], overwrite);
    }
    match out.exists() && !out.is_dir() {
        true => refuse("is a file: give a folder, or a name that ends in .png"),
        false => Ok(()),
    }
}

/// Whether a path ends as files do that are no folders: `x.npz`, not `d=0.5` or `x.npz/`.
fn is_of_a_file(out: &Path) -> bool {
    let Some(ending) = out.extension() else {
        return false;
    };
    let ending = ending.to_string_lossy().to_ascii_lowercase();
    let short = ending.chars().count() <= SHORT
        && ending.starts_with(|c: char| c.is_ascii_alphabetic())
        && ending.chars().all(|c| c.is_ascii_alphanumeric());
    let a_folder = out.to_string_lossy().ends_with(is_separator);
    !a_folder && (short || LONG.contains(&ending.as_str()))
}

/// Refuses samples of `shape` that `form` does not hold.
pub fn check_form(form: Form, shape: [usize; 3]) -> Result<(), Failure> {
    let refused = |e: String| Failure::bad_input(format!("--out: {e}"));
    match form {
        Form::Array(format) => format.check(shape).map_err(refused),
        Form::Pictures if is_planar(shape) => Err(Failure::bad_input(
            "--out: points in the plane are drawn together: give a name that ends in .png, or in .npy for their values",
        )),
        Form::Grid | Form::Pictures => check_drawable(shape).map_err(|e| {
            refused(format!(
                "{e}; a name that ends in .npy takes values of any shape"
            ))
        }),
    }
}

/// In what units samples are written, where that is not plain.
pub fn units(form: Form, model: &SamplingModel) -> Option<&'static str> {
    match (form, model.columns()) {
        (Form::Array(_), Some(_)) => {
            Some("the samples are written in the table's own units: the standardisation is undone")
        }
        (_, Some(_)) => Some(
            "the picture shows the columns as they were standardised: .csv has them in the table's own units",
        ),
        (Form::Array(SampleFormat::Csv), None) => Some(
            "the checkpoint has no names or units of columns: they are called 0, 1 and so on, their values as the network has them",
        ),
        _ => None,
    }
}

/// Refuses to replace samples that lie in the folder.
pub fn check_samples(folder: &Path, seeds: &[u64]) -> Result<(), Failure> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        // It is not there yet, or cannot be written to either.
        return Ok(());
    };
    let there: HashSet<OsString> = entries.flatten().map(|entry| entry.file_name()).collect();
    let is_there = |seed: &&u64| there.contains(&OsString::from(file_name(**seed)));
    let mut found = seeds.iter().filter(is_there);
    match found.next() {
        None => Ok(()),
        Some(first) => Err(Failure::bad_input(format!(
            "{}: holds {} of these samples already, the first {}: give another folder, other seeds, or --overwrite",
            folder.display(),
            1 + found.count(),
            file_name(*first)
        ))),
    }
}

/// Refuses a folder with classes of its pictures, which samples without classes would come under.
pub fn check_unlabelled(folder: &Path) -> Result<(), Failure> {
    match folder.join("dataset.json").exists() {
        false => Ok(()),
        true => Err(Failure::bad_input(format!(
            "{}: holds a dataset.json with classes of its pictures, and the model has no classes: give another folder",
            folder.display()
        ))),
    }
}

/// Makes sure that `out` can be written, and removes what an interrupted call has left of the same files.
pub fn prepare(out: &Path, form: Form, seeds: &[u64]) -> Result<(), Failure> {
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    let ours: HashSet<String> = match form {
        Form::Grid | Form::Array(_) => HashSet::from([name.into_owned()]),
        Form::Pictures => seeds.iter().map(|seed| file_name(*seed)).collect(),
    };
    let folder = match form {
        Form::Grid | Form::Array(_) => folder_of(out),
        Form::Pictures => out,
    };
    check_writable(folder)
        .and_then(|()| remove_partial_of(folder, |name| ours.contains(name)))
        .map_err(|e| RunError::io(folder)(e).into())
}

/// The folder that a file lies in.
fn folder_of(file: &Path) -> &Path {
    let parent = file.parent().filter(|parent| *parent != Path::new(""));
    parent.unwrap_or(Path::new("."))
}

/// The name of the picture of the sample of `seed`.
pub fn file_name(seed: u64) -> String {
    format!("{seed:06}.png")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_told_from_names_of_folders() {
        for (name, want) in [
            ("x.npz", true),
            ("x.JPG", true),
            ("x.mp4", true),
            ("x.safetensors", true),
            ("x.npz/", false),
            ("samples", false),
            ("runs/d=0.5", false),
            ("v1.5", false),
            (".hidden", false),
            ("my.experiment", false),
        ] {
            assert_eq!(is_of_a_file(Path::new(name)), want, "{name}");
        }
    }
}
