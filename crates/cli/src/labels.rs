//! `dataset.json`: the classes of the pictures beside it, in the layout of EDM's data sets.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use pfgmpp_store::{in_turn, write_file};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// The classes of a folder's pictures by file name, those of earlier calls included.
pub struct Labels {
    path: PathBuf,
    /// What the file held when it was opened.
    there: BTreeMap<String, usize>,
    added: BTreeMap<String, usize>,
}

/// `{"labels": [["000000.png", 3], ...]}`
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    labels: Vec<(String, usize)>,
}

impl Labels {
    /// Those that are in `folder`, none if it is not there.
    ///
    /// # Errors
    ///
    /// A `dataset.json` that cannot be read or holds something else: it would be lost.
    pub fn open(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join("dataset.json");
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self {
                    path,
                    there: BTreeMap::new(),
                    added: BTreeMap::new(),
                });
            }
            Err(error) => return Err(pfgmpp_run::RunError::io(&path)(error).into()),
        };
        let document: Document = serde_json::from_slice(&bytes).map_err(|_| {
            Failure::bad_input(format!(
                "{}: is not a list of labels as this program writes it: give another folder",
                path.display()
            ))
        })?;
        Ok(Self {
            path,
            there: document.labels.into_iter().collect(),
            added: BTreeMap::new(),
        })
    }

    /// Takes in pictures with their classes.
    pub fn add(&mut self, pictures: impl Iterator<Item = (String, usize)>) {
        self.added.extend(pictures);
    }

    /// Takes pictures out again that were not written.
    pub fn take_out(&mut self, pictures: &[PathBuf]) {
        for name in pictures.iter().filter_map(|picture| picture.file_name()) {
            self.added.remove(&*name.to_string_lossy());
        }
    }

    /// Writes the file, with what other calls have added to it meanwhile.
    ///
    /// # Errors
    ///
    /// As [`Self::open`], and any failure of the file system.
    pub fn write(&self, folder: &Path) -> Result<(), Failure> {
        let _turn = in_turn(folder);
        let mut all = Self::open(folder)?.there;
        all.extend(self.added.clone());
        let labels = all.into_iter().collect();
        let document = Document { labels };
        let json = serde_json::to_string(&document).expect("names and numbers");
        let written = write_file(&self.path, (json + "\n").as_bytes());
        written.map_err(|e| pfgmpp_run::RunError::io(&self.path)(e).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(names: &[&str], class: usize) -> impl Iterator<Item = (String, usize)> {
        let all: Vec<_> = names.iter().map(|name| (name.to_string(), class)).collect();
        all.into_iter()
    }

    #[test]
    fn two_calls_at_the_same_time_keep_the_classes_of_both() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Labels::open(folder.path()).unwrap();
        let (mut first, mut second) = (open(), open());
        first.add(labels(&["000000.png", "000001.png"], 3));
        second.add(labels(&["000008.png"], 4));
        first.write(folder.path()).unwrap();
        second.write(folder.path()).unwrap();
        assert_eq!(open().there.len(), 3, "got {:?}", open().there);
        // What another call has drawn anew meanwhile keeps its new class; what was not written gets none.
        let (mut later, mut anew) = (open(), open());
        anew.add(labels(&["000000.png"], 7));
        anew.write(folder.path()).unwrap();
        later.add(labels(&["000001.png", "000020.png"], 1));
        later.take_out(&[folder.path().join("000001.png")]);
        later.write(folder.path()).unwrap();
        let all = open().there;
        let got = ["000000.png", "000001.png", "000020.png"].map(|name| all[name]);
        assert_eq!(got, [7, 3, 1]);
    }
}
