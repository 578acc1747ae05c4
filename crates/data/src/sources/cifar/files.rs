//! The files of a version, in a folder or in a tar archive, packed with gzip or not.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::versions::VERSIONS;
use crate::file_error::FileError;
use crate::sources::idx::unpacked;

/// Bytes of one file, and of all in an archive: five times those of the largest.
const MAX_BYTES: u64 = 1 << 30;
/// Bytes of a header; the contents of an entry fill blocks of as many.
const BLOCK: u64 = 512;

/// Files by their names, each of which is read once.
pub(super) enum Files {
    Folder(PathBuf),
    Archive(PathBuf, BTreeMap<String, Vec<u8>>),
}

impl Files {
    /// Looks at a folder, or reads the files of any version from an archive.
    pub(super) fn open(path: &Path) -> Result<Self, FileError> {
        let metadata = fs::metadata(path).map_err(FileError::io(path))?;
        match metadata.is_dir() {
            true => Ok(Self::Folder(path.to_path_buf())),
            false => Ok(Self::Archive(path.to_path_buf(), read_archive(path)?)),
        }
    }

    /// Whether there is a file `name`.
    pub(super) fn have(&self, name: &str) -> bool {
        match self {
            Self::Folder(folder) => folder.join(name).is_file(),
            Self::Archive(_, files) => files.contains_key(name),
        }
    }

    /// The bytes of the file `name`, which an archive gives once.
    pub(super) fn take(&mut self, name: &str) -> Result<Vec<u8>, FileError> {
        match self {
            Self::Folder(folder) => {
                let path = folder.join(name);
                let len = fs::metadata(&path).map_err(FileError::io(&path))?.len();
                match len <= MAX_BYTES {
                    true => fs::read(&path).map_err(FileError::io(&path)),
                    false => Err(self.refuse(name, format!("has {len} bytes, too many for CIFAR"))),
                }
            }
            Self::Archive(_, files) => {
                let found = files.remove(name);
                found.ok_or_else(|| self.refuse(name, "is missing: fetch the archive again"))
            }
        }
    }

    /// An error about the file `name`.
    pub(super) fn refuse(&self, name: &str, reason: impl Into<String>) -> FileError {
        match self {
            Self::Folder(folder) => FileError::file(&folder.join(name), reason),
            Self::Archive(archive, _) => FileError::entry(archive, name, reason),
        }
    }

    /// An error about all of them.
    pub(super) fn refuse_all(&self, reason: impl Into<String>) -> FileError {
        match self {
            Self::Folder(path) | Self::Archive(path, _) => FileError::file(path, reason),
        }
    }
}

/// Whether the file at `path` is a tar archive of CIFAR, packed or not.
pub(in crate::sources) fn is_archive(path: &Path) -> bool {
    let header = unpacked(path).ok().and_then(|(mut reader, _)| {
        let mut block = [0; BLOCK as usize];
        reader.read_exact(&mut block).ok()?;
        Header::read(&block)
    });
    header.is_some_and(|header| header.name.starts_with("cifar-10"))
}

/// What stands before an entry: <https://www.gnu.org/software/tar/manual/html_node/Standard.html>.
struct Header {
    name: String,
    size: u64,
    is_file: bool,
}

impl Header {
    /// `None` where the block's sum is wrong.
    fn read(block: &[u8; BLOCK as usize]) -> Option<Self> {
        // The sum is made with spaces where it is to stand.
        let sum_of = |bytes: &[u8]| bytes.iter().map(|&byte| u64::from(byte)).sum::<u64>();
        let sum = sum_of(&block[..148]) + 8 * u64::from(b' ') + sum_of(&block[156..]);
        if octal(&block[148..156])? != sum {
            return None;
        }
        let name = block[..100].split(|&byte| byte == 0).next()?;
        Some(Self {
            name: String::from_utf8_lossy(name).into_owned(),
            size: octal(&block[124..136])?,
            is_file: matches!(block[156], b'0' | 0),
        })
    }

    /// The name without its folders, if it is one that a version has.
    fn wanted(&self) -> Option<&str> {
        let name = self.name.rsplit('/').next()?;
        let is_wanted = VERSIONS.iter().any(|version| version.has(name));
        (self.is_file && is_wanted).then_some(name)
    }
}

fn octal(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    u64::from_str_radix(text.trim_matches([' ', '\0']), 8).ok()
}

fn read_archive(path: &Path) -> Result<BTreeMap<String, Vec<u8>>, FileError> {
    let refuse = |reason: &str| FileError::file(path, reason);
    let cut = |_: io::Error| refuse("is cut off or damaged: fetch it again");
    let (mut reader, _) = unpacked(path)?;
    let (mut files, mut left) = (BTreeMap::new(), MAX_BYTES);
    loop {
        let mut block = [0; BLOCK as usize];
        reader.read_exact(&mut block).map_err(cut)?;
        if block.iter().all(|&byte| byte == 0) {
            // What is packed has its checksum behind it.
            io::copy(&mut reader.by_ref().take(left), &mut io::sink()).map_err(cut)?;
            return Ok(files);
        }
        let header = Header::read(&block).ok_or_else(|| match files.is_empty() {
            true => refuse("is neither a folder nor a tar archive of CIFAR, or is damaged"),
            false => refuse("is a damaged tar archive: fetch it again"),
        })?;
        let size = header.size.next_multiple_of(BLOCK);
        left = (left.checked_sub(size))
            .ok_or_else(|| refuse("holds more than 1 GiB, too much for CIFAR"))?;
        let mut contents = reader.by_ref().take(size);
        let read = match header.wanted() {
            Some(name) => {
                let mut bytes = Vec::new();
                let read = contents.read_to_end(&mut bytes).map_err(cut)? as u64;
                bytes.truncate(header.size as usize);
                files.insert(name.to_string(), bytes);
                read
            }
            None => io::copy(&mut contents, &mut io::sink()).map_err(cut)?,
        };
        if read < size {
            return Err(refuse("is cut off: fetch it again"));
        }
    }
}
