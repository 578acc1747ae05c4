//! Where the files lie: a ZIP archive or a folder. Nothing is ever extracted.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use zip::ZipArchive;
use zip::result::ZipError;

use super::error::ImageFilesError;
use super::labels;

/// Files in a set, those that are no images included.
const MAX_FILES: usize = 1 << 20;
/// Bytes of one image file.
const MAX_IMAGE_BYTES: u64 = 64 << 20;
/// Bytes of the labels.
const MAX_LABEL_BYTES: u64 = 256 << 20;
/// Folders within folders.
const MAX_DEPTH: usize = 32;

/// Image formats that a set must not mix in: they would be missing from it without a word.
const OTHER_FORMATS: [&str; 9] = [
    "jpg", "jpeg", "webp", "bmp", "gif", "tif", "tiff", "npy", "avif",
];

/// Files by name.
pub(super) trait Archive {
    /// The names of the PNG images, sorted by their bytes.
    fn image_names(&mut self) -> Result<Vec<String>, ImageFilesError>;
    /// The bytes of one image.
    fn read(&mut self, name: &str) -> Result<Vec<u8>, ImageFilesError>;
    /// The bytes of `dataset.json`, `None` where there is none.
    fn read_labels(&mut self) -> Result<Option<Vec<u8>>, ImageFilesError>;
}

/// The images among `names`, sorted.
fn images(
    path: &Path,
    names: impl Iterator<Item = String>,
) -> Result<Vec<String>, ImageFilesError> {
    let mut images = Vec::new();
    for name in names {
        let file = name.rsplit('/').next().unwrap_or_default();
        let extension = Path::new(file).extension().unwrap_or_default();
        let extension = extension.to_string_lossy().to_ascii_lowercase();
        // Hidden files and those that one system adds to archives are no part of the set.
        if file.starts_with('.') || name.starts_with("__MACOSX/") {
            continue;
        }
        if OTHER_FORMATS.contains(&extension.as_str()) {
            let reason = "is no PNG image, only PNG images are accepted";
            return Err(ImageFilesError::entry(path, &name, reason));
        }
        if extension == "png" {
            images.push(name);
        }
    }
    images.sort_unstable();
    Ok(images)
}

/// Reads to the end, or up to `limit` bytes and no further.
fn read_bounded(
    path: &Path,
    name: &str,
    source: impl Read,
    limit: u64,
) -> Result<Vec<u8>, ImageFilesError> {
    let mut bytes = Vec::new();
    let read = source.take(limit + 1).read_to_end(&mut bytes);
    read.map_err(|e| ImageFilesError::entry(path, name, e.to_string()))?;
    if bytes.len() as u64 > limit {
        let reason = format!("has more than {} MiB", limit >> 20);
        return Err(ImageFilesError::entry(path, name, reason));
    }
    Ok(bytes)
}

/// A ZIP archive.
pub(super) struct Zip {
    path: PathBuf,
    archive: ZipArchive<BufReader<File>>,
}

impl Zip {
    pub(super) fn open(path: &Path) -> Result<Self, ImageFilesError> {
        let found = fs::metadata(path).map_err(ImageFilesError::io(path))?;
        if !found.is_file() {
            let path = path.to_path_buf();
            return Err(ImageFilesError::Kind {
                path,
                is: "not a file",
                needed: "a zip archive (for a folder write `folder: {path: ...}`)",
            });
        }
        let file = File::open(path).map_err(ImageFilesError::io(path))?;
        let archive = ZipArchive::new(BufReader::new(file)).map_err(|e| bad_zip(path, &e))?;
        if archive.len() > MAX_FILES {
            return Err(too_many(path));
        }
        let path = path.to_path_buf();
        Ok(Self { path, archive })
    }

    fn read_entry(&mut self, name: &str, limit: u64) -> Result<Vec<u8>, ImageFilesError> {
        let path = &self.path;
        let entry = self.archive.by_name(name);
        let entry = entry.map_err(|e| ImageFilesError::entry(path, name, e.to_string()))?;
        read_bounded(path, name, entry, limit)
    }
}

impl Archive for Zip {
    fn image_names(&mut self) -> Result<Vec<String>, ImageFilesError> {
        let names = self.archive.file_names();
        let names: Result<Vec<String>, _> = names.map(|name| Ok(name?.into_owned())).collect();
        let names = names.map_err(|e| bad_zip(&self.path, &e))?;
        images(&self.path, names.into_iter())
    }

    fn read(&mut self, name: &str) -> Result<Vec<u8>, ImageFilesError> {
        self.read_entry(name, MAX_IMAGE_BYTES)
    }

    fn read_labels(&mut self) -> Result<Option<Vec<u8>>, ImageFilesError> {
        match self.archive.index_for_name(labels::NAME) {
            None => Ok(None),
            Some(_) => self.read_entry(labels::NAME, MAX_LABEL_BYTES).map(Some),
        }
    }
}

fn bad_zip(path: &Path, error: &ZipError) -> ImageFilesError {
    ImageFilesError::Zip {
        path: path.to_path_buf(),
        message: error.to_string(),
    }
}

fn too_many(path: &Path) -> ImageFilesError {
    ImageFilesError::TooMany {
        path: path.to_path_buf(),
        accepted: MAX_FILES,
    }
}

/// A folder; names are relative to it, with `/` between their parts.
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(super) fn open(path: &Path) -> Result<Self, ImageFilesError> {
        let found = fs::metadata(path).map_err(ImageFilesError::io(path))?;
        let path = path.to_path_buf();
        if found.is_dir() {
            return Ok(Self { path });
        }
        Err(ImageFilesError::Kind {
            path,
            is: "not a folder",
            needed: "a folder (for an archive write `zip: {path: ...}`)",
        })
    }

    /// Adds the files below `folder`, whose name is `prefix`. Links to folders are not followed.
    fn list(
        &self,
        folder: &Path,
        prefix: &str,
        depth: usize,
        names: &mut Vec<String>,
    ) -> Result<(), ImageFilesError> {
        for entry in fs::read_dir(folder).map_err(ImageFilesError::io(folder))? {
            let entry = entry.map_err(ImageFilesError::io(folder))?;
            let kind = entry.file_type().map_err(ImageFilesError::io(folder))?;
            // A name that is no text could not stand in dataset.json either.
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if !kind.is_dir() {
                names.push(name);
            } else if depth < MAX_DEPTH {
                self.list(&entry.path(), &format!("{name}/"), depth + 1, names)?;
            }
            if names.len() > MAX_FILES {
                return Err(too_many(&self.path));
            }
        }
        Ok(())
    }

    fn read_file(&self, name: &str, limit: u64) -> Result<Vec<u8>, ImageFilesError> {
        let path = self.path.join(name);
        let found = fs::metadata(&path).map_err(ImageFilesError::io(&path))?;
        // A pipe or a device could go on for ever.
        if !found.is_file() {
            return Err(ImageFilesError::entry(&self.path, name, "is not a file"));
        }
        let file = File::open(&path).map_err(ImageFilesError::io(&path))?;
        read_bounded(&self.path, name, file, limit)
    }
}

impl Archive for Folder {
    fn image_names(&mut self) -> Result<Vec<String>, ImageFilesError> {
        let mut names = Vec::new();
        self.list(&self.path, "", 0, &mut names)?;
        images(&self.path, names.into_iter())
    }

    fn read(&mut self, name: &str) -> Result<Vec<u8>, ImageFilesError> {
        self.read_file(name, MAX_IMAGE_BYTES)
    }

    fn read_labels(&mut self) -> Result<Option<Vec<u8>>, ImageFilesError> {
        if !self.path.join(labels::NAME).exists() {
            return Ok(None);
        }
        self.read_file(labels::NAME, MAX_LABEL_BYTES).map(Some)
    }
}
