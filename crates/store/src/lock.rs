//! The lock of a folder.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use crate::claim::Claim;
use crate::error::StoreError;
use crate::partial::remove_partial;
use crate::within::make_within;

/// A folder held against other processes, or shared with them; it is free again when the value is dropped, or the
/// process ends.
pub struct Lock {
    path: PathBuf,
    file: File,
    /// In place of a lock, where the file system has none.
    _claim: Option<Claim>,
}

impl Lock {
    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes sure that the folder still is where it was locked: what is written into one that was removed would
    /// bring an empty one back, without what it held.
    ///
    /// # Errors
    ///
    /// [`StoreError::Gone`].
    pub fn check(&self) -> Result<(), StoreError> {
        if self.path.join(LOCK).exists() && !is_removed(&self.file) {
            return Ok(());
        }
        Err(StoreError::Gone {
            path: self.path.clone(),
        })
    }
}

/// Whether an open file has no name any more.
#[cfg(unix)]
fn is_removed(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
}

/// An open file cannot be removed.
#[cfg(not(unix))]
fn is_removed(_: &File) -> bool {
    false
}

/// The file that is locked, by which a folder is known as one of this program.
const LOCK: &str = ".lock";
/// What it holds: other programs have files of that name.
const MARK: &[u8] = b"pfgmpp\n";
/// What lies in a folder of this program beside a lock without a mark, as it was made at first.
const OURS: [&str; 3] = ["config.yaml", "plan.json", "results.json"];

/// What file managers leave in any folder.
const LITTER: [&str; 5] = [
    ".DS_Store",
    ".directory",
    "Thumbs.db",
    "desktop.ini",
    "lost+found",
];

/// The first name in a folder that is not empty.
fn someone_elses(path: &Path) -> io::Result<Option<String>> {
    Ok(names(path)?.into_iter().min())
}

/// What lies in a folder.
fn names(path: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !LITTER.contains(&&*name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Makes the folder `path` if need be and takes its lock, `.lock`; where the file system has no locks, it is
/// claimed by a file.
///
/// # Errors
///
/// A folder that another process holds, that holds what this program has not written, or that cannot be made.
pub fn lock(path: &Path) -> Result<Lock, StoreError> {
    make(path)?;
    lock_by(path, File::try_lock)
}

/// Finds out what [`lock`] would say against the folder `path`, without making or taking anything.
///
/// # Errors
///
/// A folder that holds what this program has not written, a file or a link to nothing in its place or above it.
pub fn check_lockable(path: &Path) -> Result<(), StoreError> {
    let there = path
        .ancestors()
        .find(|part| part.symlink_metadata().is_ok());
    let Some(there) = there.filter(|part| *part != Path::new("")) else {
        return Ok(());
    };
    if !there.exists() {
        let nowhere = io::Error::new(io::ErrorKind::NotFound, "is a link to what is not there");
        return Err(StoreError::io(there)(nowhere));
    }
    refuse_file(there)?;
    if there != path {
        return Ok(());
    }
    refuse_others(path, &path.join(LOCK))
}

/// Times that a folder is asked for which another process may hold for a moment only, and the time between.
const ATTEMPTS: u32 = 20;
const BETWEEN: Duration = Duration::from_millis(100);

/// As [`lock`], for the folder `path` within `root`, at which another process may look just now: asks again for two seconds.
/// `root` is not made.
///
/// # Errors
///
/// As [`lock`]; [`StoreError::Gone`] where `root` is not there.
pub fn lock_within(root: &Path, path: &Path) -> Result<Lock, StoreError> {
    soon(|| {
        refuse_file(path)?;
        make_within(root, path)?;
        lock_by(path, File::try_lock)
    })
}

/// Makes the folder `path` if need be and takes part in it, beside other processes that do. Whoever is alone in it
/// removes what interrupted writes have left, where the file system has locks to tell by.
///
/// # Errors
///
/// As [`lock`], of a folder that another process holds for itself.
pub fn share(path: &Path) -> Result<Lock, StoreError> {
    make(path)?;
    share_existing(path)
}

/// As [`share`], of a folder that has to be there: one that was removed or moved meanwhile does not come back.
///
/// # Errors
///
/// As [`share`]; [`StoreError::Gone`].
pub fn share_existing(path: &Path) -> Result<Lock, StoreError> {
    refuse_file(path)?;
    let gone = || StoreError::Gone {
        path: path.to_path_buf(),
    };
    if let Ok(alone) = lock_by(path, File::try_lock)
        && alone._claim.is_none()
    {
        remove_partial(path).map_err(StoreError::io(path))?;
    }
    let share = |file: &File| match file.try_lock_shared() {
        Err(TryLockError::Error(error)) if is_without_locks(&error) => Ok(()),
        other => other,
    };
    soon(|| lock_by(path, share)).map_err(|error| match path.is_dir() {
        true => error,
        false => gone(),
    })
}

/// Holds the folder `path`, which need not be one of this program, until the value is dropped; whoever holds it so is
/// waited for. For a moment's work on a file that several processes add to; `None` where the file system has no locks for
/// folders.
#[must_use]
pub fn in_turn(path: &Path) -> Option<File> {
    let folder = File::open(path).ok()?;
    folder.lock().ok().map(|()| folder)
}

fn soon(take: impl Fn() -> Result<Lock, StoreError>) -> Result<Lock, StoreError> {
    for _ in 1..ATTEMPTS {
        match take() {
            Err(StoreError::InUse { .. }) => sleep(BETWEEN),
            other => return other,
        }
    }
    take()
}

/// Whether another process holds the folder `path` for itself just now. Nothing is made or changed.
#[must_use]
pub fn is_held(path: &Path) -> bool {
    let Ok(file) = File::open(path.join(LOCK)) else {
        return false;
    };
    match file.try_lock_shared() {
        Ok(()) => false,
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(_)) => Claim::is_of_another(path),
    }
}

/// Marks the folder `path` as one of this program: one that was copied without its hidden files, and whose content says so.
///
/// # Errors
///
/// Any failure of the file system.
pub fn adopt(path: &Path) -> Result<(), StoreError> {
    let file = path.join(LOCK);
    fs::write(&file, MARK).map_err(StoreError::io(&file))
}

/// Whether the file `lock` in the folder `path` is one that this program has made.
fn is_own(path: &Path, lock: &Path) -> bool {
    // Before the lock is read: whoever makes one marks it before writing anything else.
    let holds_others = holds_others(path);
    match fs::read(lock) {
        // Begun at most.
        Ok(bytes) if bytes.len() < MARK.len() && MARK.starts_with(&bytes) => {
            OURS.iter().any(|name| path.join(name).is_file()) || !holds_others
        }
        Ok(bytes) => bytes == MARK,
        Err(_) => false,
    }
}

/// Whether there is more in the folder `path` than a lock.
fn holds_others(path: &Path) -> bool {
    names(path).is_ok_and(|names| names.iter().any(|name| name != LOCK))
}

/// Makes the folder `path` with all above it.
fn make(path: &Path) -> Result<(), StoreError> {
    refuse_file(path)?;
    fs::create_dir_all(path).map_err(StoreError::io(path))
}

fn refuse_file(path: &Path) -> Result<(), StoreError> {
    match path.exists() && !path.is_dir() {
        true => Err(StoreError::NotAFolder {
            path: path.to_path_buf(),
        }),
        false => Ok(()),
    }
}

/// Refuses a folder, with the place of its lock, that holds what this program has not written.
fn refuse_others(path: &Path, lock: &Path) -> Result<(), StoreError> {
    if !is_own(path, lock)
        && let Some(found) = someone_elses(path).map_err(StoreError::io(path))?
        // Another process may have made the lock just now.
        && !is_own(path, lock)
    {
        return Err(StoreError::NotOurs {
            path: path.to_path_buf(),
            found,
        });
    }
    Ok(())
}

/// Takes the lock of the folder `path` by `try_lock`.
fn lock_by(
    path: &Path,
    try_lock: impl Fn(&File) -> Result<(), TryLockError>,
) -> Result<Lock, StoreError> {
    let file = path.join(LOCK);
    refuse_others(path, &file)?;
    // Not truncated: a link in its place must not cost anyone a file.
    // Read as well: network file systems that make a shared lock one of bytes ask for it.
    let options = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&file);
    let mut lock = options.map_err(StoreError::io(&file))?;
    if lock
        .metadata()
        .is_ok_and(|metadata| metadata.len() < MARK.len() as u64)
    {
        lock.write_all(MARK).map_err(StoreError::io(&file))?;
    }
    let claim = match try_lock(&lock) {
        Ok(()) => None,
        Err(TryLockError::WouldBlock) => {
            return Err(StoreError::InUse {
                path: path.to_path_buf(),
            });
        }
        Err(TryLockError::Error(error)) if is_without_locks(&error) => Some(Claim::take(path)?),
        Err(TryLockError::Error(source)) => return Err(StoreError::Io { path: file, source }),
    };
    Ok(Lock {
        path: path.to_path_buf(),
        file: lock,
        _claim: claim,
    })
}

/// Whether a lock could not be taken because the file system has none: "function not implemented", "operation not
/// supported", or "no locks available", as network file systems say without their lock daemon.
fn is_without_locks(error: &io::Error) -> bool {
    const NO_LOCKS: i32 = if cfg!(target_os = "macos") { 77 } else { 37 };
    error.kind() == io::ErrorKind::Unsupported
        || (cfg!(unix) && error.raw_os_error() == Some(NO_LOCKS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_there_are_no_locks_a_folder_is_claimed() {
        for code in [37, 38, 95] {
            let without = |_: &File| -> Result<(), TryLockError> {
                Err(TryLockError::Error(io::Error::from_raw_os_error(code)))
            };
            let folder = tempfile::tempdir().unwrap();
            let first = lock_by(folder.path(), without).unwrap();
            let error = lock_by(folder.path(), without).err().unwrap().to_string();
            assert!(error.contains("in use by process"), "{code}: got {error}");
            drop(first);
            lock_by(folder.path(), without).unwrap();
        }
    }

    #[test]
    #[cfg(unix)]
    fn what_would_be_refused_is_found_out_without_making_anything() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "").unwrap();
        fs::create_dir(at("foreign")).unwrap();
        fs::write(at("foreign/thesis"), "").unwrap();
        std::os::unix::fs::symlink(at("nowhere"), at("link")).unwrap();
        drop(lock(&at("ours")).unwrap());
        for (name, want) in [
            ("file", Some("is a file")),
            ("file/run", Some("is a file")),
            ("foreign", Some("holds thesis")),
            ("foreign/run", None),
            ("link", Some("a link to what is not there")),
            ("ours", None),
            ("new/run", None),
        ] {
            let got = check_lockable(&at(name))
                .err()
                .map(|error| error.to_string());
            let is_right = match (&got, want) {
                (Some(got), Some(want)) => got.contains(want),
                (got, want) => got.is_none() && want.is_none(),
            };
            assert!(is_right, "{name}: got {got:?}, want {want:?}");
        }
        assert!(!at("new").exists() && !at("foreign/.lock").exists());
    }

    #[test]
    fn a_shared_folder_is_held_by_nobody_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shared");
        assert!(!is_held(&path));
        let first = share(&path).unwrap();
        let second = share(&path).unwrap();
        assert!(!is_held(&path));
        // What another one is writing stays.
        let partial = path.join(".partial-results.csv-abcdef");
        fs::write(&partial, "half").unwrap();
        drop(share(&path).unwrap());
        assert!(partial.exists(), "a file in the making was removed");
        drop((first, second));
        drop(share(&path).unwrap());
        assert!(!partial.exists(), "litter was left");
        fs::remove_dir_all(&path).unwrap();
        let error = share_existing(&path).err().unwrap();
        assert!(matches!(error, StoreError::Gone { .. }), "got {error}");
        assert!(!path.exists());
        let alone = lock(&path).unwrap();
        assert!(is_held(&path));
        let error = share(&path).err().unwrap();
        assert!(matches!(error, StoreError::InUse { .. }), "got {error}");
        drop(alone);
        assert!(!is_held(&path));
    }

    /// Where the two processes of a race meet, and whether there are locks.
    const RACE: &str = "PFGMPP_TEST_RACE";
    const FOLDERS: usize = 500;

    /// What each of two processes does: takes what it can, and keeps it.
    #[test]
    fn race() {
        let Ok(place) = std::env::var(RACE) else {
            return;
        };
        let (kind, place) = place.split_once(' ').unwrap();
        let without = |_: &File| -> Result<(), TryLockError> {
            Err(TryLockError::Error(io::Error::from_raw_os_error(38)))
        };
        let mut held = Vec::new();
        for number in 0..FOLDERS {
            let path = Path::new(place).join(number.to_string());
            let taken = match kind {
                "locks" => lock(&path),
                _ => make(&path).and_then(|()| lock_by(&path, without)),
            };
            match taken {
                Ok(taken) => {
                    fs::write(path.join(std::process::id().to_string()), "").unwrap();
                    held.push(taken);
                }
                Err(StoreError::InUse { .. } | StoreError::Claimed { .. }) => {}
                Err(error) => panic!("{number}: {error}"),
            }
        }
        // Until the other one has tried all.
        fs::write(
            Path::new(place).join(format!("done-{}", std::process::id())),
            "",
        )
        .unwrap();
        let done = || {
            let entries = fs::read_dir(place).unwrap().flatten();
            let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
            names.filter(|name| name.starts_with("done-")).count()
        };
        let began = std::time::Instant::now();
        while done() < 2 && began.elapsed() < Duration::from_secs(60) {
            sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn of_two_processes_one_gets_each_of_five_hundred_folders() {
        for kind in ["locks", "claims"] {
            let place = tempfile::tempdir().unwrap();
            let start = || {
                std::process::Command::new(std::env::current_exe().unwrap())
                    .args(["--exact", "lock::tests::race"])
                    .env(RACE, format!("{kind} {}", place.path().display()))
                    .stdout(std::process::Stdio::null())
                    .spawn()
                    .unwrap()
            };
            let children = [start(), start()];
            for mut child in children {
                assert!(child.wait().unwrap().success());
            }
            let mut won = std::collections::BTreeMap::new();
            for number in 0..FOLDERS {
                let entries = fs::read_dir(place.path().join(number.to_string())).unwrap();
                let names = entries.map(|entry| entry.unwrap().file_name());
                let names = names.map(|name| name.to_string_lossy().into_owned());
                let holders: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
                assert_eq!(
                    holders.len(),
                    1,
                    "{kind}, folder {number}: held by {holders:?}"
                );
                *won.entry(holders[0].clone()).or_insert(0) += 1;
            }
            println!("{kind}: {won:?}");
        }
    }

    #[test]
    fn another_failure_of_a_lock_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        // EIO.
        let broken = |_: &File| Err(TryLockError::Error(io::Error::from_raw_os_error(5)));
        let error = lock_by(folder.path(), broken).err().unwrap().to_string();
        assert!(error.contains(".lock"), "got {error}");
    }
}
