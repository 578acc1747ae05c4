//! Whether what lies in the cache is what its name says: a blob is named by its checksum.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::layout::Cache;
use crate::checksum::Checksum;

/// A file of the cache that is not what its name says.
pub(crate) struct Damage {
    /// The blob.
    pub(crate) path: PathBuf,
    /// What kind of checksum its name is.
    pub(crate) kind: &'static str,
}

impl Cache {
    /// Looks whether the file `name` of a commit has the checksum that its blob is named by. Of one that had it
    /// when it was looked at last, only size and time are compared; of one without such a name nothing is known.
    pub(crate) fn damage(&self, commit: &str, name: &str) -> io::Result<Option<Damage>> {
        let path = self.snapshot(commit).join(name);
        let Some(checksum) = checksum_of(&path) else {
            return Ok(None);
        };
        let file = File::open(&path)?;
        let metadata = file.metadata()?;
        if self.was_right(&checksum, &metadata) {
            return Ok(None);
        }
        if checksum.fits(file, metadata.len())? {
            self.note_right(&checksum, &metadata);
            return Ok(None);
        }
        Ok(Some(Damage {
            path: fs::canonicalize(path)?,
            kind: checksum.kind(),
        }))
    }

    fn was_right(&self, checksum: &Checksum, metadata: &Metadata) -> bool {
        let noted = fs::read_to_string(self.beside(checksum.text(), "verified"));
        noted.is_ok_and(|noted| Some(noted) == stamp(metadata))
    }

    /// Notes that a file was right; where the cache cannot be written, it is looked at again the next time.
    fn note_right(&self, checksum: &Checksum, metadata: &Metadata) {
        let path = self.beside(checksum.text(), "verified");
        if let (Some(stamp), Some(folder)) = (stamp(metadata), path.parent()) {
            let _ = fs::create_dir_all(folder).and_then(|()| fs::write(&path, stamp));
        }
    }
}

/// Size and time of a file; none where there is no time.
fn stamp(metadata: &Metadata) -> Option<String> {
    let time = metadata.modified().ok()?;
    let nanoseconds = time.duration_since(UNIX_EPOCH).ok()?.as_nanos();
    Some(format!("{} {nanoseconds}\n", metadata.len()))
}

/// The checksum that the blob is named by which a file of a snapshot links to.
fn checksum_of(path: &Path) -> Option<Checksum> {
    let target = fs::read_link(path).ok()?;
    Checksum::of_etag(target.file_name()?.to_str()?)
}
