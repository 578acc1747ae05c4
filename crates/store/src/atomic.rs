//! Files and folders that appear whole or not at all: written beside, synced, renamed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::partial::{OLD, PROBE, prefix};

/// Writes `bytes` to `path`, replacing what was there in one step.
///
/// # Errors
///
/// Any failure of the file system; the old file then stands untouched and nothing is left beside it.
pub fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = write_beside(path, bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    sync_folder(parent_of(path))
}

/// Writes `bytes` to `path` unless there is a file; gives whether there was none.
///
/// Of several processes that write at the same time, one finds none.
///
/// # Errors
///
/// Any failure of the file system; nothing is left beside the path.
pub fn write_first(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let file = write_beside(path, bytes)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => sync_folder(parent_of(path)).map(|()| true),
        Err(failure) if failure.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(failure) => Err(failure.error),
    }
}

/// Writes `bytes` to a temporary file beside `path`, which is not synced.
pub(crate) fn write_beside(path: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let prefix = prefix(path);
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix);
    // As readable as any other new file of this user: the umask is applied to this mode.
    #[cfg(unix)]
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    #[cfg(unix)]
    builder.permissions(mode);
    let made = builder.tempfile_in(parent_of(path));
    let mut file = made.map_err(plain)?;
    file.write_all(bytes).map_err(plain)?;
    Ok(file)
}

/// Finds out whether files can be made in `folder`, by making one and removing it.
///
/// # Errors
///
/// What the file system says against it.
pub fn check_writable(folder: &Path) -> io::Result<()> {
    let builder = &mut tempfile::Builder::new();
    let made = builder.prefix(PROBE).tempfile_in(folder);
    made.and_then(NamedTempFile::close).map_err(plain)
}

/// An error without the name of a temporary file, which tells nobody anything: what the system itself said.
fn plain(error: io::Error) -> io::Error {
    let code = error.raw_os_error().or_else(|| os_code(&error.to_string()));
    code.map_or(error, io::Error::from_raw_os_error)
}

/// The number in `No space left on device (os error 28) at path "..."`: it is not to be had otherwise from an error that was
/// wrapped with a path.
fn os_code(text: &str) -> Option<i32> {
    let (_, rest) = text.split_once("(os error ")?;
    rest.split_once(')')?.0.parse().ok()
}

/// Fills a new folder by `fill` and puts it at `path` in place of the folder that was there.
///
/// A reader may find no folder for the instant between two renames, never a mixture of both.
///
/// # Errors
///
/// The error of `fill`, or any failure of the file system; the old folder then stands untouched.
pub fn replace_folder<E: From<io::Error>>(
    path: &Path,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let parent = parent_of(path);
    let fresh = tempfile::Builder::new()
        .prefix(&prefix(path))
        .tempdir_in(parent)?;
    let new = fresh.path().join("new");
    fs::create_dir(&new)?;
    fill(&new)?;
    sync_folder(&new)?;
    // The old folder waits under its own name, so that it can be put back after a crash.
    let waiting = fresh
        .path()
        .join(OLD)
        .join(path.file_name().unwrap_or_default());
    let replaces = path.exists();
    if replaces {
        fs::create_dir(fresh.path().join(OLD))?;
        fs::rename(path, &waiting)?;
    }
    if let Err(error) = fs::rename(&new, path) {
        if replaces {
            fs::rename(&waiting, path)?;
        }
        return Err(error.into());
    }
    Ok(sync_folder(parent)?)
}

pub(crate) fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Makes a rename in `folder` durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_stands_without_the_temporary_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nowhere/a.json");
        let error = write_file(&path, b"x").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(2), "got {error}");
        assert!(!error.to_string().contains(".partial"), "got {error}");
    }

    #[test]
    fn a_file_is_replaced_in_one_step() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write_file(&path, b"old").unwrap();
        write_file(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_fill_leaves_the_old_folder() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("checkpoint");
        let fill = |text: &'static str| {
            move |dir: &Path| -> io::Result<()> { fs::write(dir.join("f"), text) }
        };
        replace_folder(&path, fill("one")).unwrap();
        let failed = replace_folder(&path, |dir| {
            fs::write(dir.join("f"), "half")?;
            Err(io::Error::other("disk full"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "disk full");
        assert_eq!(fs::read_to_string(path.join("f")).unwrap(), "one");
        replace_folder(&path, fill("two")).unwrap();
        assert_eq!(fs::read_to_string(path.join("f")).unwrap(), "two");
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
    }
}
