//! Images in a folder and the folders in it.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::archive::{Archive, Entry, Listing, MAX_FILES, read_bounded, too_many};
use super::selection::{is_hidden, is_image};
use crate::file_error::FileError;
use crate::found::Skipped;

/// Folders within folders.
const MAX_DEPTH: usize = 32;

/// A folder; names are relative to it, with `/` between their parts.
pub(super) struct Folder {
    path: PathBuf,
    /// Where the files that were listed lie: a name that is not text does not lead to its file.
    files: Vec<PathBuf>,
}

/// A folder that is to be read.
struct Place {
    path: PathBuf,
    /// Its name with a `/` behind, nothing for the set itself.
    prefix: String,
    depth: usize,
}

/// The way through a folder: its own folders first, then what links lead to, so that the order in which a file
/// system lists does not matter.
struct Walk<'a> {
    root: &'a Path,
    files: Vec<PathBuf>,
    listing: Listing,
    /// Folders that were read, by their true paths.
    read: HashSet<PathBuf>,
    /// Links to folders that are still to be followed, the next one last.
    links: Vec<Place>,
    again: Vec<String>,
}

impl Folder {
    pub(super) fn open(path: &Path) -> Result<Self, FileError> {
        let found = fs::metadata(path).map_err(FileError::io(path))?;
        if !found.is_dir() {
            let reason =
                "is not a folder, a folder is needed (for an archive write `zip: {path: ...}`)";
            return Err(FileError::file(path, reason));
        }
        let (path, files) = (path.to_path_buf(), Vec::new());
        Ok(Self { path, files })
    }
}

impl Walk<'_> {
    /// Reads a folder, the folders in it, and then what links in them lead to.
    fn all(&mut self, first: Place) -> Result<(), FileError> {
        let mut next = vec![first];
        while let Some(place) = next.pop() {
            self.folders(place)?;
            self.links.sort_by(|a, b| b.prefix.cmp(&a.prefix));
            next.extend(self.links.pop());
        }
        Ok(())
    }

    /// Reads a folder and the folders in it; links to folders are kept for later.
    fn folders(&mut self, first: Place) -> Result<(), FileError> {
        let mut folders = vec![first];
        while let Some(place) = folders.pop() {
            let true_path = fs::canonicalize(&place.path).map_err(FileError::io(&place.path))?;
            if !self.read.insert(true_path) {
                self.again
                    .push(place.prefix.trim_end_matches('/').to_string());
                continue;
            }
            if place.depth > MAX_DEPTH {
                if is_hidden(&place.prefix) {
                    continue;
                }
                let reason = format!("lies in more than the {MAX_DEPTH} folders that are accepted");
                return Err(FileError::entry(self.root, &place.prefix, reason));
            }
            self.folder(&place, &mut folders)?;
        }
        Ok(())
    }

    fn folder(&mut self, place: &Place, folders: &mut Vec<Place>) -> Result<(), FileError> {
        for entry in fs::read_dir(&place.path).map_err(FileError::io(&place.path))? {
            let entry = entry.map_err(FileError::io(&place.path))?;
            let path = entry.path();
            let kind = entry.file_type().map_err(FileError::io(&path))?;
            let name = format!("{}{}", place.prefix, entry.file_name().to_string_lossy());
            if is_hidden(&name) && !kind.is_dir() {
                // Only images are told of; the thousands of files that a `.git` holds are nobody's business.
                if kind.is_file() && is_image(&name) {
                    self.file(path, name, 0)?;
                }
            } else if kind.is_symlink() {
                self.link(path, name, place.depth)?;
            } else if kind.is_dir() {
                folders.push(inner(path, &name, place.depth));
            } else {
                let size = entry.metadata().map_err(FileError::io(&path))?.len();
                self.file(path, name, size)?;
            }
        }
        Ok(())
    }

    /// A link counts as what it leads to. One that leads to a folder around it has nothing to add.
    fn link(&mut self, path: PathBuf, name: String, depth: usize) -> Result<(), FileError> {
        let Ok(found) = fs::metadata(&path) else {
            let target = fs::read_link(&path).unwrap_or_default();
            let reason = format!("is a link to {}, which is not there", target.display());
            return Err(FileError::entry(self.root, &name, reason));
        };
        if !found.is_dir() {
            return self.file(path, name, found.len());
        }
        let target = fs::canonicalize(&path).map_err(FileError::io(&path))?;
        let root = fs::canonicalize(self.root).map_err(FileError::io(self.root))?;
        if root.starts_with(&target) {
            self.again.push(name);
        } else {
            self.links.push(inner(path, &name, depth));
        }
        Ok(())
    }

    fn file(&mut self, path: PathBuf, name: String, size: u64) -> Result<(), FileError> {
        let index = self.files.len();
        self.files.push(path);
        self.listing.files.push(Entry { name, index, size });
        if self.files.len() > MAX_FILES {
            return Err(too_many(self.root));
        }
        Ok(())
    }
}

fn inner(path: PathBuf, name: &str, depth: usize) -> Place {
    Place {
        path,
        prefix: format!("{name}/"),
        depth: depth + 1,
    }
}

impl Archive for Folder {
    fn list(&mut self) -> Result<Listing, FileError> {
        let mut walk = Walk {
            root: &self.path,
            files: Vec::new(),
            listing: Listing::default(),
            read: HashSet::new(),
            links: Vec::new(),
            again: Vec::new(),
        };
        walk.all(Place {
            path: self.path.clone(),
            prefix: String::new(),
            depth: 0,
        })?;
        walk.again.sort_unstable();
        if let Some(example) = walk.again.first() {
            walk.listing.skipped.push(Skipped {
                one: "link".to_string(),
                why: "to a folder that is read anyway or lies around the set",
                count: walk.again.len(),
                example: example.clone(),
            });
        }
        self.files = walk.files;
        Ok(walk.listing)
    }

    fn read_up_to(&mut self, entry: &Entry, limit: u64) -> Result<Vec<u8>, FileError> {
        let path = &self.files[entry.index];
        let found = fs::metadata(path).map_err(FileError::io(path))?;
        // A pipe or a device could go on for ever.
        if !found.is_file() {
            let reason = "is not a file but a pipe, a device or a socket";
            return Err(FileError::entry(&self.path, &entry.name, reason));
        }
        let file = File::open(path).map_err(FileError::io(path))?;
        let unreadable = |e| format!("cannot be read: {e}");
        read_bounded(&self.path, &entry.name, file, limit, unreadable)
    }
}
