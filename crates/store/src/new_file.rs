//! A file that is written piece by piece and appears whole.

use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::atomic::{parent_of, sync_folder, write_beside};

/// A file on its way: written beside its place, which it takes when it is [kept](Self::keep). Dropped before that, it
/// leaves nothing.
///
/// After a failure nothing more is written: writers of archives that end their archive when they are dropped find no second
/// failure to report then.
pub struct NewFile {
    file: NamedTempFile,
    path: PathBuf,
    failed: bool,
}

impl NewFile {
    /// Begins a file for `path`.
    ///
    /// # Errors
    ///
    /// Any failure of the file system.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: write_beside(path, &[])?,
            path: path.to_path_buf(),
            failed: false,
        })
    }

    /// Puts the file in its place, and replaces what was there in one step.
    ///
    /// # Errors
    ///
    /// Any failure of the file system, one of an earlier write included; the old file then stands untouched.
    pub fn keep(self) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other("an earlier part could not be written"));
        }
        self.file.as_file().sync_all()?;
        self.file.persist(&self.path).map_err(|e| e.error)?;
        sync_folder(parent_of(&self.path))
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.failed {
            return Ok(bytes.len());
        }
        let written = self.file.as_file_mut().write(bytes);
        self.failed = matches!(&written, Err(e) if e.kind() != io::ErrorKind::Interrupted);
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_file_mut().flush()
    }
}

impl Seek for NewFile {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.file.as_file_mut().seek(position)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn after_a_failure_nothing_more_is_written_and_nothing_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let mut file = NewFile::create(&path).unwrap();
        // A handle that may only be read fails as a full disk does.
        *file.file.as_file_mut() = fs::File::open(file.file.path()).unwrap();
        assert!(file.write(b"first").is_err());
        assert_eq!(file.write(b"second").unwrap(), 6);
        assert!(file.keep().is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_takes_its_place_when_it_is_kept_and_leaves_nothing_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        fs::write(&path, "old").unwrap();
        let mut file = NewFile::create(&path).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        let mut file = NewFile::create(&path).unwrap();
        file.write_all(b"whole").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        file.keep().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
