//! What kind of source a path leads to, by what lies there.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use zip::ZipArchive;

use super::{
    CifarFiles, DataSource, IdxFile, ImageArchive, ImageFolder, NpyArray, NpzArchive, ParquetFiles,
    SafetensorsFile, cifar, idx,
};
use crate::error::DataError;
use crate::file_error::{FileError, kind_of_file};
use crate::file_kind::FileKind;

impl DataSource {
    /// The source that lies at `path`, told by what it is rather than by its name: a folder of images or of CIFAR, an
    /// archive of images or of arrays, a `.npy` or `.safetensors` file, CIFAR as it is downloaded, or MNIST's own format, packed or not.
    ///
    /// # Errors
    ///
    /// A place that cannot be read, and files of other kinds.
    pub fn at(path: &Path) -> Result<Self, DataError> {
        let (found, path) = (
            std::fs::metadata(path).map_err(FileError::io(path))?,
            path.to_path_buf(),
        );
        if found.is_dir() {
            return Ok(match cifar::is_cifar(&path) {
                true => cifar_at(path),
                false => Self::Folder(ImageFolder { path }),
            });
        }
        let kind = kind_of_file(&path)?;
        Ok(match kind {
            Some(FileKind::ZIP) if holds_arrays(&path) => Self::Npz(NpzArchive {
                path,
                images: None,
                labels: None,
                range: None,
                layout: None,
            }),
            Some(FileKind::ZIP) => Self::Zip(ImageArchive { path }),
            Some(FileKind::NPY) => Self::Npy(NpyArray {
                path,
                labels: None,
                range: None,
                layout: None,
            }),
            Some(FileKind::PARQUET) => Self::Parquet(ParquetFiles {
                path,
                image: None,
                label: None,
            }),
            _ if cifar::is_archive(&path) => cifar_at(path),
            _ if idx::is_idx(&idx::head(&path)?) => Self::Idx(IdxFile { path, labels: None }),
            _ if is_safetensors(&path)? => Self::Safetensors(SafetensorsFile {
                path,
                images: None,
                labels: None,
                range: None,
                layout: None,
            }),
            kind => {
                let is = kind.map_or_else(String::new, |kind| format!("is {kind}; "));
                let reason = format!(
                    "{is}data are a folder or ZIP archive of images, .npy, .npz, .safetensors, IDX (MNIST), CIFAR (.tar.gz \
                     or its folder), or a table: csv: {{path: t.csv, standardise: {{sigma_data: 0.5}}}}"
                );
                return Err(FileError::file(&path, reason).into());
            }
        })
    }
}

/// CIFAR of the classes that it has by default.
fn cifar_at(path: PathBuf) -> DataSource {
    DataSource::Cifar(CifarFiles { path, labels: None })
}

/// Whether an archive holds arrays and nothing else.
fn holds_arrays(path: &Path) -> bool {
    let Ok(file) = File::open(path) else {
        return false;
    };
    ZipArchive::new(std::io::BufReader::new(file)).is_ok_and(|archive| {
        !archive.is_empty()
            && archive
                .file_names()
                .all(|name| name.is_ok_and(|name| name.ends_with(".npy")))
    })
}

/// Whether a file begins with a number of bytes and a description of so many.
fn is_safetensors(path: &Path) -> Result<bool, FileError> {
    let file = File::open(path).map_err(FileError::io(path))?;
    let len = file.metadata().map_err(FileError::io(path))?.len();
    let mut head = Vec::new();
    let read = file.take(9).read_to_end(&mut head);
    read.map_err(FileError::io(path))?;
    let size = head.get(..8).and_then(|size| size.try_into().ok());
    let size = size.map(u64::from_le_bytes);
    Ok(head.get(8) == Some(&b'{') && size.is_some_and(|size| size < len))
}
