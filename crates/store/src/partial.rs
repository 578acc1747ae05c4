//! What stands beside a file or folder while it is written, and what an interruption leaves of it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What every temporary name begins with.
const PREFIX: &str = ".partial-";
/// Random characters at the end of one.
const RANDOM: usize = 6;
/// Where a folder that is being replaced waits, within the temporary folder.
pub(crate) const OLD: &str = "old";
/// Bytes of a name that a temporary name holds; with a longer one it would be too long for file systems.
const LONGEST: usize = 200;

/// What the name of a file begins with that only shows that a folder can be written to.
pub(crate) const PROBE: &str = ".partial--";
/// What the name of a claim begins with that is being taken over, before the number of the process that does.
pub(crate) const CLAIM: &str = ".partial-claim-";

/// What the temporary name of `path` begins with: `.partial-NAME-`.
pub(crate) fn prefix(path: &Path) -> String {
    match path.file_name().map(|name| name.to_string_lossy()) {
        Some(name) if name.len() <= LONGEST => format!("{PREFIX}{name}-"),
        _ => PROBE.to_string(),
    }
}

/// The name of what a temporary file or folder was to become, if its name is one of ours: nothing else that begins as
/// ours do is touched.
fn target(partial: &str) -> Option<&str> {
    let (name, random) = partial.strip_prefix(PREFIX)?.rsplit_once('-')?;
    let drawn = random.len() == RANDOM && random.chars().all(|c| c.is_ascii_alphanumeric());
    drawn.then_some(name)
}

/// Removes what an interrupted [`write_file`](crate::write_file) or [`replace_folder`](crate::replace_folder) left in
/// `folder`, and puts a folder back that was taken away and not replaced yet.
///
/// # Errors
///
/// Any failure of the file system.
pub fn remove_partial(folder: &Path) -> io::Result<()> {
    remove(folder, |partial| {
        target(partial).is_some() || partial.starts_with(CLAIM)
    })
}

/// As [`remove_partial`], only what was to become a file or folder whose name `is_ours`: `folder` may hold what
/// another process is writing.
///
/// # Errors
///
/// Any failure of the file system.
pub fn remove_partial_of(folder: &Path, is_ours: impl Fn(&str) -> bool) -> io::Result<()> {
    remove(folder, |partial| target(partial).is_some_and(&is_ours))
}

fn remove(folder: &Path, wanted: impl Fn(&str) -> bool) -> io::Result<()> {
    let mut left: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if wanted(&name) {
            left.push(entry.path());
        }
    }
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
    use crate::atomic::write_beside;

    #[test]
    fn what_an_interruption_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".partial-x-aB3dE6"), "half").unwrap();
        fs::write(folder.path().join(".partial--aB3dE6"), "of a long name").unwrap();
        fs::write(folder.path().join(".partial-claim-4194304"), "").unwrap();
        fs::create_dir(folder.path().join(".partial-y-aB3dE6")).unwrap();
        fs::write(folder.path().join("whole"), "1").unwrap();
        fs::create_dir(folder.path().join(".partial-thesis")).unwrap();
        // Killed between the two renames: the old folder is away, the new one not there yet.
        let waiting = folder.path().join(".partial-z-aB3dE6/old/checkpoint");
        fs::create_dir_all(&waiting).unwrap();
        fs::write(waiting.join("f"), "one").unwrap();
        remove_partial(folder.path()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
        assert!(
            folder.path().join(".partial-thesis").is_dir(),
            "what is someone else's stays"
        );
        let back = fs::read_to_string(folder.path().join("checkpoint/f"));
        assert_eq!(back.unwrap(), "one");
    }

    #[test]
    fn of_one_name_only_its_own_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["000001.png", "000002.png", "a-b"] {
            let left = write_beside(&folder.path().join(name), b"half").unwrap();
            left.keep().unwrap();
        }
        fs::write(
            folder.path().join(".partial-000001.png"),
            "not of this program",
        )
        .unwrap();
        let ours = ["000001.png", "a-b"];
        remove_partial_of(folder.path(), |name| ours.contains(&name)).unwrap();
        let mut left: Vec<String> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        left.sort();
        assert_eq!(left.len(), 2, "got {left:?}");
        assert_eq!(left[0], ".partial-000001.png");
        assert!(left[1].starts_with(".partial-000002.png-"), "got {left:?}");
    }
}
