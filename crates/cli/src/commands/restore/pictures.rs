//! Restored images as files.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use candle_core::{DType, Tensor};
use pfgmpp_data::to_image;
use pfgmpp_run::{RunError, sample_rows};
use pfgmpp_store::{check_writable, write_files};

use crate::failure::Failure;

/// The picture of all side by side.
const GRID: &str = "grid";
/// Images, and samples of each, that it shows.
const ROWS: usize = 16;
const SAMPLES: usize = 4;

/// Refuses a place that is not a folder, or holds something, or holds the `images` themselves.
pub fn check_place(out: &Path, images: &Path, overwrite: bool) -> Result<(), Failure> {
    let refuse = |message: &str| Err(Failure::bad_input(format!("--out: {message}")));
    if out.as_os_str().is_empty() {
        return refuse("must be a folder, got none");
    }
    let Ok(found) = std::fs::metadata(out) else {
        return Ok(());
    };
    if !found.is_dir() {
        return refuse(&format!("{} is a file: give a folder", out.display()));
    }
    let place = |path: &Path| std::fs::canonicalize(path).ok();
    if place(out).is_some_and(|out| place(images) == Some(out)) {
        return refuse(&format!(
            "{} holds the images that are to be restored: give another folder",
            out.display()
        ));
    }
    let mut entries = std::fs::read_dir(out).map_err(RunError::io(out))?;
    if !overwrite && entries.next().is_some() {
        return refuse(&format!(
            "{} is not empty: give another folder, or --overwrite",
            out.display()
        ));
    }
    check_writable(out).map_err(|e| RunError::io(out)(e).into())
}

/// Files and folders in the folder `out` that a call which writes `written` leaves as they are.
pub fn others(out: &Path, written: &[PathBuf]) -> usize {
    let own: HashSet<&std::ffi::OsStr> =
        written.iter().filter_map(|path| path.file_name()).collect();
    let entries = std::fs::read_dir(out).into_iter().flatten().flatten();
    entries
        .filter(|entry| !own.contains(&*entry.file_name()))
        .count()
}

/// Names of the files of images called `names`: without folders and ending, all of them different.
pub fn names(names: &[String]) -> Vec<String> {
    let stem = |name: &String| {
        let stem = name
            .rsplit_once('.')
            .map_or(name.as_str(), |(stem, _)| stem);
        stem.replace('/', "-")
    };
    let stems: Vec<String> = names.iter().map(stem).collect();
    let lower = stems.iter().map(|stem| stem.to_lowercase());
    let unlike: HashSet<String> = lower.collect();
    if unlike.len() == stems.len() && !unlike.contains(GRID) {
        return stems;
    }
    let numbered = stems.iter().enumerate();
    numbered.map(|(i, stem)| format!("{i:06}-{stem}")).collect()
}

/// What there is to show of images.
pub struct Shown<'a> {
    /// `[images, C, H, W]`, where they are known.
    pub whole: Option<&'a Tensor>,
    /// What was observed of them, as pictures of the same shape.
    pub observed: &'a Tensor,
    /// Their samples, `[images, K, C, H, W]`.
    pub samples: &'a Tensor,
}

impl Shown<'_> {
    /// Writes all samples, their means if there are several, and the picture of all side by side; gives the files.
    pub fn write(&self, out: &Path, names: &[String]) -> Result<Vec<PathBuf>, Failure> {
        let several = self.samples.dim(1)? > 1;
        let mut files = Vec::new();
        let mut add = |name: String, image: &Tensor| -> Result<(), Failure> {
            files.push((out.join(format!("{name}.png")), png(image)?));
            Ok(())
        };
        for (i, name) in names.iter().enumerate() {
            let samples = self.samples.get(i)?;
            if !several {
                add(name.clone(), &samples.get(0)?)?;
                continue;
            }
            for k in 0..samples.dim(0)? {
                add(format!("{name}-{k:03}"), &samples.get(k)?)?;
            }
            add(format!("{name}-mean"), &samples.mean(0)?)?;
        }
        let grid = self.grid()?.to_png().map_err(RunError::from)?;
        files.push((out.join(format!("{GRID}.png")), grid));
        // The disk is asked once, whatever the number of files.
        write_files::<PathBuf, Vec<u8>>(&files).map_err(RunError::from)?;
        Ok(files.into_iter().map(|(path, _)| path).collect())
    }

    /// A row an image: whole, observed, some samples, their mean.
    fn grid(&self) -> Result<pfgmpp_data::Picture, Failure> {
        let (images, samples) = (self.samples.dim(0)?, self.samples.dim(1)?);
        let mut tiles = Vec::new();
        for i in 0..images.min(ROWS) {
            if let Some(whole) = self.whole {
                tiles.push(whole.get(i)?.to_dtype(DType::F32)?);
            }
            tiles.push(self.observed.get(i)?.to_dtype(DType::F32)?);
            let of_image = self.samples.get(i)?;
            for k in 0..samples.min(SAMPLES) {
                tiles.push(of_image.get(k)?);
            }
            if samples > 1 {
                tiles.push(of_image.mean(0)?);
            }
        }
        let columns = tiles.len() / images.min(ROWS);
        let tiles = Tensor::stack(&tiles, 0)?;
        Ok(sample_rows(&tiles, columns).map_err(RunError::from)?)
    }
}

fn png(image: &Tensor) -> Result<Vec<u8>, Failure> {
    let picture = to_image(image).map_err(RunError::from)?;
    Ok(picture.to_png().map_err(RunError::from)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_by_the_images_and_never_alike() {
        let of = |given: &[&str]| names(&given.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(of(&["a.png", "b/c.png"]), ["a", "b-c"]);
        assert_eq!(of(&["b/c.png", "b-c.png"]), ["000000-b-c", "000001-b-c"]);
        assert_eq!(of(&["grid.png"]), ["000000-grid"]);
    }
}
