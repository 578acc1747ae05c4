//! Files and folders that appear whole or not at all: written beside, synced, renamed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where a folder that is being replaced waits, within the temporary folder.
const OLD: &str = "old";

/// Writes `bytes` to `path`, replacing what was there in one step.
///
/// # Errors
///
/// Any failure of the file system; the old file then stands untouched and nothing is left beside it.
pub fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let parent = parent_of(path);
    let mut builder = tempfile::Builder::new();
    builder.prefix(".partial-");
    // As readable as any other new file of this user: the umask is applied to this mode.
    #[cfg(unix)]
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    #[cfg(unix)]
    builder.permissions(mode);
    let mut file = builder.tempfile_in(parent)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    sync_folder(parent)
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
        .prefix(".partial-")
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

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Makes a rename in `folder` durable.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Removes what an interrupted [`write_file`] or [`replace_folder`] left in `folder`, and puts a
/// folder back that was taken away and not replaced yet.
///
/// # Errors
///
/// Any failure of the file system.
pub fn remove_partial(folder: &Path) -> io::Result<()> {
    let partial =
        |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(".partial-");
    let left: Vec<PathBuf> = fs::read_dir(folder)?
        .collect::<io::Result<Vec<_>>>()?
        .iter()
        .filter(|entry| partial(entry))
        .map(fs::DirEntry::path)
        .collect();
    for path in left {
        let waiting = path.join(OLD);
        if waiting.is_dir() {
            for entry in fs::read_dir(waiting)? {
                let entry = entry?;
                let home = folder.join(entry.file_name());
                if !home.exists() {
                    fs::rename(entry.path(), home)?;
                }
            }
        }
        if path.is_dir() {
            fs::remove_dir_all(path)?;
        } else {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn what_an_interruption_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".partial-x"), "half").unwrap();
        fs::create_dir(folder.path().join(".partial-y")).unwrap();
        fs::write(folder.path().join("whole"), "1").unwrap();
        // Killed between the two renames: the old folder is away, the new one not there yet.
        let waiting = folder.path().join(".partial-z/old/checkpoint");
        fs::create_dir_all(&waiting).unwrap();
        fs::write(waiting.join("f"), "one").unwrap();
        remove_partial(folder.path()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        let back = fs::read_to_string(folder.path().join("checkpoint/f"));
        assert_eq!(back.unwrap(), "one");
    }
}
