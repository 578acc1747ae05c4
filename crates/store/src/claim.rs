//! A claim on a folder of a file system that has no locks: a file that is made by one process only.
//!
//! The file says who made it. Unlike a lock it outlives its process, so that whoever finds it asks whether that is
//! still there; of another machine nobody knows.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::StoreError;
use crate::partial;

const CLAIM: &str = ".claim";

/// A claimed folder; the claim ends with the value.
pub(crate) struct Claim(PathBuf);

impl Claim {
    /// Claims the folder.
    ///
    /// # Errors
    ///
    /// A folder that is claimed already, unless by a process of this machine that is gone.
    pub(crate) fn take(folder: &Path) -> Result<Self, StoreError> {
        Self::take_as(folder, &Holder::this())
    }

    /// Whether a process that may still run has claimed the folder.
    pub(crate) fn is_of_another(folder: &Path) -> bool {
        let Ok(there) = fs::read_to_string(folder.join(CLAIM)) else {
            return false;
        };
        !Holder::read(&there).is_some_and(|found| found.is_gone(&Holder::this()))
    }

    fn take_as(folder: &Path, holder: &Holder) -> Result<Self, StoreError> {
        let path = folder.join(CLAIM);
        let io = |error| StoreError::io(&path)(error);
        match make(&path, holder) {
            Ok(()) => return Ok(Self(path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io(error)),
        }
        let there = fs::read_to_string(&path).unwrap_or_default();
        let found = Holder::read(&there);
        if !found.as_ref().is_some_and(|found| found.is_gone(holder)) {
            return Err(StoreError::Claimed {
                path,
                holder: found.map_or("another process".to_string(), |found| found.name()),
            });
        }
        // Of several that find it so, one takes it away; the others then find a new claim, or none to take.
        let away = folder.join(format!("{}{}", partial::CLAIM, std::process::id()));
        let taken = fs::rename(&path, &away).and_then(|()| fs::read_to_string(&away));
        let ours = taken.is_ok_and(|text| text == there);
        if !ours {
            // A claim that was made just now goes back to where it was.
            let _ = fs::hard_link(&away, &path);
        }
        let _ = fs::remove_file(&away);
        match ours.then(|| make(&path, holder)) {
            Some(Ok(())) => Ok(Self(path)),
            Some(Err(error)) if error.kind() != io::ErrorKind::AlreadyExists => Err(io(error)),
            _ => Err(StoreError::InUse {
                path: folder.to_path_buf(),
            }),
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Of a folder that is gone there is nothing to free.
        let _ = fs::remove_file(&self.0);
    }
}

fn make(path: &Path, holder: &Holder) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    let written = file.write_all(holder.write().as_bytes());
    written.inspect_err(|_| {
        let _ = fs::remove_file(path);
    })
}

/// A process, so that no other is taken for it: by machine, start of the machine, space of process numbers, number,
/// and when it was started. What the system does not say is empty.
#[derive(Clone, Debug, PartialEq)]
struct Holder {
    host: String,
    boot: String,
    space: String,
    process: u32,
    started: String,
}

impl Holder {
    fn this() -> Self {
        let file = |path: &str| {
            fs::read_to_string(path)
                .unwrap_or_default()
                .trim()
                .to_string()
        };
        let space = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        let process = std::process::id();
        Self {
            host: file("/proc/sys/kernel/hostname"),
            boot: file("/proc/sys/kernel/random/boot_id"),
            space: space.to_string_lossy().into_owned(),
            process,
            started: start_of(process).unwrap_or_default(),
        }
    }

    fn write(&self) -> String {
        let Self {
            host,
            boot,
            space,
            process,
            started,
        } = self;
        format!("{host}\n{boot}\n{space}\n{process}\n{started}\n")
    }

    fn read(text: &str) -> Option<Self> {
        let mut lines = text.lines().map(str::to_string);
        Some(Self {
            host: lines.next()?,
            boot: lines.next()?,
            space: lines.next()?,
            process: lines.next()?.parse().ok()?,
            started: lines.next()?,
        })
    }

    /// Whether it is one of the machine of `here` and runs no more.
    fn is_gone(&self, here: &Self) -> bool {
        let known = !self.boot.is_empty() && !self.space.is_empty();
        let neighbour =
            (&self.host, &self.boot, &self.space) == (&here.host, &here.boot, &here.space);
        known && neighbour && start_of(self.process).is_none_or(|start| start != self.started)
    }

    fn name(&self) -> String {
        let host = if self.host.is_empty() {
            "this machine"
        } else {
            &self.host
        };
        format!("process {} on {host}", self.process)
    }
}

/// When a process was started, in ticks of the clock since the machine was; `None` if there is no such process, or one
/// that has ended and whose parent has not asked for its exit code yet.
fn start_of(process: u32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The second field is a name in brackets and may hold anything; the start is the 22nd.
    let (_, after) = text.rsplit_once(')')?;
    let mut fields = after.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18).map(str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No process has this number.
    const NOBODY: u32 = u32::MAX;

    #[test]
    fn a_claim_is_free_again_when_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        drop(Claim::take(folder.path()).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_claim_of_a_process_that_is_gone_is_taken_over() {
        let here = Holder::this();
        let killed = Holder {
            process: NOBODY,
            ..here.clone()
        };
        // A number that another process has meanwhile.
        let reused = Holder {
            started: "1".to_string(),
            ..here.clone()
        };
        for gone in [killed, reused] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join(CLAIM), gone.write()).unwrap();
            let claim = Claim::take(folder.path()).unwrap();
            let got = fs::read_to_string(folder.path().join(CLAIM)).unwrap();
            assert_eq!(Holder::read(&got), Some(here.clone()));
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
            drop(claim);
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_that_has_ended_holds_nothing_before_its_parent_asks_for_it() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let stat = format!("/proc/{}/stat", child.id());
        let ended = || fs::read_to_string(&stat).unwrap().contains(") Z ");
        for _ in 0..500 {
            if ended() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert!(ended(), "it does not end");
        assert_eq!(start_of(child.id()), None);
        child.wait().unwrap();
    }

    #[test]
    fn the_claim_of_another_machine_is_respected_and_named() {
        let elsewhere = Holder {
            host: "node17".to_string(),
            process: NOBODY,
            ..Holder::this()
        };
        for (text, want) in [
            (elsewhere.write(), "process 4294967295 on node17"),
            (String::new(), "another process"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join(CLAIM), &text).unwrap();
            let error = Claim::take(folder.path()).err().unwrap().to_string();
            for part in [want, ".claim", "remove this file"] {
                assert!(error.contains(part), "got {error}, want {part}");
            }
            assert_eq!(fs::read_to_string(folder.path().join(CLAIM)).unwrap(), text);
        }
    }
}
