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
    classes: BTreeMap<String, usize>,
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
                let classes = BTreeMap::new();
                return Ok(Self { path, classes });
            }
            Err(error) => return Err(pfgmpp_run::RunError::io(&path)(error).into()),
        };
        let document: Document = serde_json::from_slice(&bytes).map_err(|_| {
            Failure::bad_input(format!(
                "{}: is not a list of labels as this program writes it: give another folder",
                path.display()
            ))
        })?;
        let classes = document.labels.into_iter().collect();
        Ok(Self { path, classes })
    }

    /// Takes in pictures with their classes.
    pub fn add(&mut self, pictures: impl Iterator<Item = (String, usize)>) {
        self.classes.extend(pictures);
    }

    /// Writes the file, with what other calls have added to it meanwhile.
    ///
    /// # Errors
    ///
    /// As [`Self::open`], and any failure of the file system.
    pub fn write(&self, folder: &Path) -> Result<(), Failure> {
        let _turn = in_turn(folder);
        let mut all = Self::open(folder)?.classes;
        all.extend(self.classes.clone());
        let labels = all.into_iter().collect();
        let document = Document { labels };
        let json = serde_json::to_string(&document).expect("names and numbers");
        let written = write_file(&self.path, (json + "\n").as_bytes());
        written.map_err(|e| pfgmpp_run::RunError::io(&self.path)(e).into())
    }
}
