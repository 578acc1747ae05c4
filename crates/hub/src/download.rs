//! One file: its bytes into a file beside the cache's blobs, checked, and only then among them.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::cache::{Cache, folder_of};
use crate::error::HubError;
use crate::observer::{HubEvent, HubObserver};
use crate::place::Place;
use crate::remote::{Fault, Metadata, Remote};

/// Largest file that only describes, in bytes.
const MAX_DESCRIPTION: u64 = 4 << 20;

/// A file that is to be brought here.
pub(crate) struct Download<'a> {
    pub(crate) remote: &'a Remote,
    pub(crate) cache: &'a Cache,
    pub(crate) place: &'a Place<'a>,
    pub(crate) commit: &'a str,
    pub(crate) name: &'a str,
    pub(crate) observer: &'a dyn HubObserver,
}

impl Download<'_> {
    /// Brings the file here, unless a file of the same checksum is here already.
    pub(crate) fn run(&self) -> Result<(), HubError> {
        let metadata = self.remote.metadata(self.place, self.commit, self.name)?;
        self.check_size(metadata.size)?;
        let checksum = metadata.checksum.text();
        let blob = self.cache.blob(checksum);
        folder_of(&blob)?;
        let tell = |text: &str| {
            let text = format!("{}: {text}", self.what());
            self.observer.observe(HubEvent::Note(&text));
        };
        let _lock = self.cache.lock(checksum, tell)?;
        // Another program may have left anything under this name.
        if !is_whole(&blob, &metadata).map_err(HubError::io(&blob))? {
            let part = blob.with_extension("incomplete");
            self.check_space(&part, metadata.size)?;
            self.fill(&part, &metadata)?;
            fs::rename(&part, &blob).map_err(HubError::io(&blob))?;
        }
        self.cache.link(self.commit, self.name, checksum)?;
        self.observer.observe(HubEvent::Fetched {
            file: self.name,
            total: metadata.size,
        });
        Ok(())
    }

    /// Refuses a description that is none by its size.
    fn check_size(&self, size: u64) -> Result<(), HubError> {
        let describes = [".json", ".md"].iter().any(|end| self.name.ends_with(end));
        if describes && size > MAX_DESCRIPTION {
            return Err(HubError::Unusable {
                place: self.what(),
                problem: format!(
                    "it has {size} bytes, a description has at most {MAX_DESCRIPTION}"
                ),
            });
        }
        Ok(())
    }

    /// Refuses a file that the disk has no room for.
    fn check_space(&self, part: &Path, size: u64) -> Result<(), HubError> {
        let here = fs::metadata(part).map_or(0, |found| found.len());
        let needed = size.saturating_sub(here);
        let folder = folder_of(part)?;
        match fs4::available_space(&folder) {
            Ok(free) if free < needed => Err(HubError::Space {
                place: self.what(),
                needed,
                free,
                cache: folder,
            }),
            // A file system that does not tell is tried.
            _ => Ok(()),
        }
    }

    fn what(&self) -> String {
        format!("{}: {}", self.place, self.name)
    }

    /// Makes `part` the whole file, going on from what is in it.
    fn fill(&self, part: &Path, metadata: &Metadata) -> Result<(), HubError> {
        let before = fs::metadata(part).map_or(0, |found| found.len());
        self.append(part, metadata)?;
        if is_whole(part, metadata).map_err(HubError::io(part))? {
            return Ok(());
        }
        fs::remove_file(part).map_err(HubError::io(part))?;
        // What an earlier call left may have been of another file, or damaged.
        if before > 0 {
            self.append(part, metadata)?;
            if is_whole(part, metadata).map_err(HubError::io(part))? {
                return Ok(());
            }
            fs::remove_file(part).map_err(HubError::io(part))?;
        }
        let kind = metadata.checksum.kind();
        Err(HubError::Damaged {
            place: self.what(),
            problem: format!(
                "its {kind} is not the promised {}",
                metadata.checksum.text()
            ),
        })
    }

    /// Appends to `part` until it has the promised size, over as many connections as the settings allow.
    fn append(&self, part: &Path, metadata: &Metadata) -> Result<(), HubError> {
        let io = HubError::io;
        let mut file = File::options()
            .append(true)
            .create(true)
            .open(part)
            .map_err(io(part))?;
        let what = self.what();
        let whole = self.remote.again(&what, || {
            let mut done = file.metadata().map_err(Fault::File)?.len();
            if done > metadata.size {
                file.set_len(0).map_err(Fault::File)?;
                done = 0;
            }
            self.progress(done, metadata.size);
            self.one_connection(&mut file, done, metadata.size)
        });
        let synced = whole.and_then(|()| file.sync_all().map_err(io(part)));
        if let Err(HubError::Damaged { .. }) = &synced {
            // Bytes that do not belong together are not gone on from.
            fs::remove_file(part).map_err(io(part))?;
        }
        synced
    }

    fn one_connection(&self, file: &mut File, done: u64, size: u64) -> Result<(), Fault> {
        let mut done = done;
        if done == size {
            return Ok(());
        }
        let mut reader = self
            .remote
            .read(self.place, self.commit, self.name, done, size)?;
        if reader.starts_over {
            file.set_len(0).map_err(Fault::File)?;
            done = 0;
        }
        while let Some(bytes) = reader.next()? {
            if done + bytes.len() as u64 > size {
                return Err(Fault::Damaged(format!(
                    "more than its {size} bytes arrived"
                )));
            }
            file.write_all(bytes).map_err(Fault::File)?;
            done += bytes.len() as u64;
            self.progress(done, size);
        }
        if done == size {
            return Ok(());
        }
        Err(Fault::Cut(format!("{done} of {size} bytes arrived")))
    }

    fn progress(&self, done: u64, total: u64) {
        self.observer.observe(HubEvent::Progress {
            file: self.name,
            done,
            total,
        });
    }
}

/// Whether a file is there with the promised size and checksum.
fn is_whole(path: &Path, metadata: &Metadata) -> io::Result<bool> {
    let file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        file => file?,
    };
    Ok(file.metadata()?.len() == metadata.size && metadata.checksum.fits(file, metadata.size)?)
}
