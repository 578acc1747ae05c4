//! Images in a ZIP archive.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use ::zip::ZipArchive;
use ::zip::read::{ArchiveOffset, Config};
use ::zip::result::{ZipError, ZipResult};

use super::archive::{Archive, Entry, Listing, MAX_FILES, read_bounded, too_many};
use crate::file_error::{FileError, kind_of_file};
use crate::file_kind::FileKind;
use crate::found::Skipped;

const OTHER_METHOD: &str = "is compressed by a method that is not read here: pack it with Deflate, as `zip -r` does, \
                            or without compression";

type Reader = BufReader<File>;

/// A ZIP archive.
pub(super) struct Zip {
    path: PathBuf,
    archive: ZipArchive<Reader>,
}

impl Zip {
    pub(super) fn open(path: &Path) -> Result<Self, FileError> {
        let found = fs::metadata(path).map_err(FileError::io(path))?;
        if !found.is_file() {
            let what = if found.is_dir() {
                "a folder"
            } else {
                "not a file"
            };
            let reason = format!(
                "is {what}, a zip archive is needed (for a folder write `folder: {{path: ...}}`)"
            );
            return Err(FileError::file(path, reason));
        }
        let archive = open(path).map_err(FileError::io(path))?;
        let archive = archive.map_err(|error| not_an_archive(path, &error))?;
        if archive.len() > MAX_FILES {
            return Err(too_many(path));
        }
        let path = path.to_path_buf();
        Ok(Self { path, archive })
    }

    /// The first name that a second entry of the archive has too: the later one is read, as elsewhere.
    fn duplicates(&mut self) -> io::Result<Option<Skipped>> {
        if !self.archive.has_duplicate_names() {
            return Ok(None);
        }
        let names = raw_names(&self.path, self.archive.central_directory_start())?;
        let mut seen = HashSet::new();
        let mut again = names.iter().filter(|name| !seen.insert(name.as_slice()));
        let Some(example) = again.next() else {
            return Ok(None);
        };
        Ok(Some(Skipped {
            one: "file".to_string(),
            why: "of a name that a later one has too",
            example: String::from_utf8_lossy(example).into_owned(),
            count: 1 + again.count(),
        }))
    }
}

/// Opens an archive. What stands before it is looked for only if nothing does by its own word: otherwise the
/// second entry of an archive can be taken for the first.
fn open(path: &Path) -> io::Result<ZipResult<ZipArchive<Reader>>> {
    let reader = || File::open(path).map(BufReader::new);
    let config = |archive_offset| Config { archive_offset };
    match ZipArchive::with_config(config(ArchiveOffset::Known(0)), reader()?) {
        Ok(archive) => Ok(Ok(archive)),
        Err(_) => Ok(ZipArchive::with_config(
            config(ArchiveOffset::Detect),
            reader()?,
        )),
    }
}

/// The names of all entries in the central directory, which begins at `start`, those of the same name included.
fn raw_names(path: &Path, start: u64) -> io::Result<Vec<Vec<u8>>> {
    const HEADER: usize = 46;
    let mut reader = BufReader::new(File::open(path)?);
    reader.seek(SeekFrom::Start(start))?;
    let mut names = Vec::new();
    let mut header = [0; HEADER];
    while names.len() <= MAX_FILES {
        let whole = reader.read_exact(&mut header).is_ok();
        if !whole || !header.starts_with(b"PK\x01\x02") {
            break;
        }
        let length = |at: usize| usize::from(u16::from_le_bytes([header[at], header[at + 1]]));
        let mut name = vec![0; length(28)];
        reader.read_exact(&mut name)?;
        reader.seek_relative((length(30) + length(32)) as i64)?;
        names.push(name);
    }
    Ok(names)
}

fn not_an_archive(path: &Path, error: &ZipError) -> FileError {
    let reason = match kind_of_file(path) {
        Err(error) => return error,
        Ok(Some(FileKind::ZIP)) => match error {
            ZipError::InvalidArchive(_) | ZipError::Io(_) => {
                "is a zip archive that is cut off or damaged: fetch or copy it again".to_string()
            }
            other => format!("is a zip archive that {}", unreadable(other)),
        },
        Ok(Some(kind)) => format!("is not a zip archive but {kind}"),
        Ok(None) => "is not a zip archive".to_string(),
    };
    FileError::file(path, reason)
}

/// What keeps an archive or an entry from being read, in words that follow its name.
fn unreadable(error: &ZipError) -> String {
    match error {
        ZipError::CompressionMethodNotSupported(_) => OTHER_METHOD.to_string(),
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) | ZipError::InvalidPassword => {
            "is encrypted: unpack it and name the folder".to_string()
        }
        ZipError::Io(error) => unread(error),
        other => format!("cannot be read: {other}"),
    }
}

fn unread(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other => {
            "is damaged, its bytes do not match their checksum: fetch the archive again".to_string()
        }
        io::ErrorKind::Unsupported => OTHER_METHOD.to_string(),
        io::ErrorKind::UnexpectedEof => "is cut off: fetch the archive again".to_string(),
        _ => format!("cannot be read: {error}"),
    }
}

impl Archive for Zip {
    fn list(&mut self) -> Result<Listing, FileError> {
        let path = self.path.clone();
        let broken = |error: &ZipError| FileError::file(&path, unreadable(error));
        let mut listing = Listing::default();
        for index in 0..self.archive.len() {
            let entry = self.archive.by_index_data(index).map_err(|e| broken(&e))?;
            if entry.is_dir() {
                continue;
            }
            let name = entry.name().map_err(|e| broken(&e))?;
            listing.files.push(Entry {
                // Some programs of one system write names with its own separator.
                name: name.replace('\\', "/"),
                index,
                size: entry.size(),
            });
        }
        let duplicates = self.duplicates().map_err(FileError::io(&path))?;
        listing.skipped.extend(duplicates);
        Ok(listing)
    }

    fn read_up_to(&mut self, entry: &Entry, limit: u64) -> Result<Vec<u8>, FileError> {
        let (path, name) = (&self.path, entry.name.as_str());
        let source = self.archive.by_index(entry.index);
        let source = source.map_err(|e| FileError::entry(path, name, unreadable(&e)))?;
        // No more than the archive says, which was added up before.
        let bytes = read_bounded(path, name, source, limit, |e| unread(&e))?;
        if bytes.len() as u64 > entry.size {
            let reason = "has more bytes than its archive says: the archive is damaged";
            return Err(FileError::entry(path, name, reason));
        }
        Ok(bytes)
    }
}
