//! Many files at once, for the price of one.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::atomic::{parent_of, sync_folder, write_beside};
use crate::error::StoreError;

/// Writes files of one folder, each whole or not at all as by [`write_file`](crate::write_file), and syncs them
/// together: a sync a file costs several times what the file itself does.
///
/// # Errors
///
/// Any failure of the file system; files before the one that failed may stand.
pub fn write_files<P: AsRef<Path>, B: AsRef<[u8]>>(files: &[(P, B)]) -> Result<(), StoreError> {
    write_each(files, |file, path| match file.persist(path) {
        Ok(_) => Ok(()),
        Err(e) => Err(e.error),
    })
}

/// As [`write_files`], where none of the files is there: one that another process has written meanwhile stays, and the
/// others are written. Gives those that were there.
///
/// # Errors
///
/// As [`write_files`].
pub fn write_new_files<P: AsRef<Path>, B: AsRef<[u8]>>(
    files: &[(P, B)],
) -> Result<Vec<PathBuf>, StoreError> {
    let mut taken = Vec::new();
    write_each(files, |file, path| match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(e) if e.error.kind() == io::ErrorKind::AlreadyExists => {
            taken.push(path.to_path_buf());
            Ok(())
        }
        Err(e) => Err(e.error),
    })?;
    Ok(taken)
}

fn write_each<P: AsRef<Path>, B: AsRef<[u8]>>(
    files: &[(P, B)],
    mut persist: impl FnMut(NamedTempFile, &Path) -> io::Result<()>,
) -> Result<(), StoreError> {
    let mut written: Vec<(&Path, NamedTempFile)> = Vec::with_capacity(files.len());
    for (path, bytes) in files {
        let path = path.as_ref();
        let file = write_beside(path, bytes.as_ref()).map_err(StoreError::io(path))?;
        written.push((path, file));
    }
    let Some((first, _)) = written.first() else {
        return Ok(());
    };
    let folder = parent_of(first);
    sync(folder, &written)?;
    for (path, file) in written {
        persist(file, path).map_err(StoreError::io(path))?;
    }
    sync_folder(folder).map_err(StoreError::io(folder))
}

/// Brings the files of `folder` to the disk by one call for the whole file system.
#[cfg(target_os = "linux")]
fn sync(folder: &Path, _: &[(&Path, NamedTempFile)]) -> Result<(), StoreError> {
    let synced = File::open(folder).and_then(|it| Ok(nix::unistd::syncfs(it)?));
    synced.map_err(StoreError::io(folder))
}

/// Brings the files to the disk.
#[cfg(not(target_os = "linux"))]
fn sync(_: &Path, written: &[(&Path, NamedTempFile)]) -> Result<(), StoreError> {
    for (path, file) in written {
        file.as_file().sync_all().map_err(StoreError::io(path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_are_there_and_nothing_beside_them() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a.png", "b.png", "c.png"].map(|name| folder.path().join(name));
        std::fs::write(&paths[1], "old").unwrap();
        let files: Vec<_> = paths
            .iter()
            .map(|path| (path, path.to_str().unwrap()))
            .collect();
        write_files(&files).unwrap();
        for path in &paths {
            let got = std::fs::read_to_string(path).unwrap();
            assert_eq!(got, path.to_str().unwrap());
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_file_that_another_process_has_written_meanwhile_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("000001.png");
        let other = folder.path().join("000002.png");
        assert!(write_new_files(&[(&path, "first")]).unwrap().is_empty());
        let taken = write_new_files(&[(&path, "second"), (&other, "other")]).unwrap();
        assert_eq!(taken, std::slice::from_ref(&path));
        assert_eq!(std::fs::read(&other).unwrap(), b"other");
        assert_eq!(std::fs::read(&path).unwrap(), b"first");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named_and_leaves_nothing_half_written() {
        let folder = tempfile::tempdir().unwrap();
        let [good, bad] = ["a.png", "b.png"].map(|name| folder.path().join(name));
        std::fs::create_dir(&bad).unwrap();
        std::fs::write(bad.join("inside"), "").unwrap();
        let error = write_files(&[(&good, "x"), (&bad, "y")])
            .unwrap_err()
            .to_string();
        assert!(error.contains("b.png"), "got {error}");
        let left = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, 2, "want a.png and b.png");
    }
}
