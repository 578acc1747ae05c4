//! The versions of CIFAR, and how the binary ones are laid out.

use super::files::Files;
use super::{Batch, CifarLabels, PIXELS, python};
use crate::file_error::FileError;
use crate::splits::MIN_IMAGES;

/// A version of the set.
pub(super) struct Version {
    pub(super) train: &'static [&'static str],
    pub(super) test: &'static str,
    /// The classes that are taken if none are asked for, and the others.
    kinds: &'static [Classes],
    /// Bytes of classes before an image; `None` in pickles.
    bytes_before: Option<usize>,
}

/// One of the sets of classes that a version has.
#[derive(Clone, Copy)]
pub(super) struct Classes {
    /// How many.
    pub(super) num: usize,
    /// What they are asked for by; `None` of a version that has no others.
    kind: Option<CifarLabels>,
    /// The file with their names.
    names: &'static str,
    /// The byte before an image that is its class, or the keys of classes and names in pickles.
    place: Place,
}

#[derive(Clone, Copy)]
enum Place {
    Byte(usize),
    Keys(&'static str, &'static str),
}

const fn classes(
    num: usize,
    kind: Option<CifarLabels>,
    names: &'static str,
    place: Place,
) -> Classes {
    Classes {
        num,
        kind,
        names,
        place,
    }
}

const FINE: Option<CifarLabels> = Some(CifarLabels::Fine);
const COARSE: Option<CifarLabels> = Some(CifarLabels::Coarse);

pub(super) const VERSIONS: [Version; 4] = [
    Version {
        train: &[
            "data_batch_1.bin",
            "data_batch_2.bin",
            "data_batch_3.bin",
            "data_batch_4.bin",
            "data_batch_5.bin",
        ],
        test: "test_batch.bin",
        kinds: &[classes(10, None, "batches.meta.txt", Place::Byte(0))],
        bytes_before: Some(1),
    },
    Version {
        train: &["train.bin"],
        test: "test.bin",
        kinds: &[
            classes(100, FINE, "fine_label_names.txt", Place::Byte(1)),
            classes(20, COARSE, "coarse_label_names.txt", Place::Byte(0)),
        ],
        bytes_before: Some(2),
    },
    Version {
        train: &[
            "data_batch_1",
            "data_batch_2",
            "data_batch_3",
            "data_batch_4",
            "data_batch_5",
        ],
        test: "test_batch",
        kinds: &[classes(
            10,
            None,
            "batches.meta",
            Place::Keys("labels", "label_names"),
        )],
        bytes_before: None,
    },
    Version {
        train: &["train"],
        test: "test",
        kinds: &[
            classes(
                100,
                FINE,
                "meta",
                Place::Keys("fine_labels", "fine_label_names"),
            ),
            classes(
                20,
                COARSE,
                "meta",
                Place::Keys("coarse_labels", "coarse_label_names"),
            ),
        ],
        bytes_before: None,
    },
];

impl Version {
    /// The version that is there.
    pub(super) fn of(files: &Files) -> Result<&'static Self, FileError> {
        let there = |version: &&Self| files.have(version.train[0]);
        VERSIONS.iter().find(there).ok_or_else(|| {
            files.refuse_all(
                "holds neither data_batch_1.bin or data_batch_1 (CIFAR-10) nor train.bin or train (CIFAR-100)",
            )
        })
    }

    /// Whether one of its files is called `name`.
    pub(super) fn has(&self, name: &str) -> bool {
        let names = self.kinds.iter().any(|classes| classes.names == name);
        self.train.contains(&name) || self.test == name || names
    }

    /// A file that a folder of this version has and others do not: files called `train` and `test` could be anything.
    pub(super) fn marked_by(&self) -> &'static str {
        match self.bytes_before {
            Some(_) => self.test,
            None => self.kinds[0].names,
        }
    }

    /// The classes that are asked for.
    pub(super) fn classes(
        &self,
        files: &Files,
        asked: Option<CifarLabels>,
    ) -> Result<Classes, FileError> {
        let found = match asked {
            None => self.kinds.first(),
            asked => self.kinds.iter().find(|classes| classes.kind == asked),
        };
        found.copied().ok_or_else(|| {
            files.refuse_all("is CIFAR-10, which has classes of one kind: leave labels out (fine and coarse are those of CIFAR-100)")
        })
    }

    /// The names of the classes, where the file that holds them is there and whole.
    pub(super) fn class_names(&self, files: &mut Files, classes: Classes) -> Option<Vec<String>> {
        let bytes = (files.have(classes.names)).then(|| files.take(classes.names))?;
        let names: Vec<String> = match classes.place {
            Place::Keys(_, key) => python::names(bytes.ok()?, key)?,
            Place::Byte(_) => {
                let text = String::from_utf8(bytes.ok()?).ok()?;
                let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
                lines.map(str::to_string).collect()
            }
        };
        (names.len() == classes.num).then_some(names)
    }

    /// The images of the file `name` and their `classes`.
    pub(super) fn read(
        &self,
        files: &mut Files,
        name: &str,
        classes: Classes,
    ) -> Result<Batch, FileError> {
        let bytes = files.take(name)?;
        let read = match classes.place {
            Place::Byte(place) => binary(&bytes, self.bytes_before.unwrap_or(place + 1), place),
            Place::Keys(key, _) => python::batch(bytes, key),
        };
        let batch = read.map_err(|reason| files.refuse(name, reason))?;
        let outside = |&class: &u32| class as usize >= classes.num;
        match batch.classes.iter().position(outside) {
            None => Ok(batch),
            Some(image) => {
                let (got, accepted) = (batch.classes[image], classes.num);
                let reason = format!(
                    "label of image {image} must be in 0..{accepted}, got {got}: fetch it again"
                );
                Err(files.refuse(name, reason))
            }
        }
    }
}

/// Images of a binary version: `before` bytes, of which that at `place` is the class, then the planes.
fn binary(bytes: &[u8], before: usize, place: usize) -> Result<Batch, String> {
    let (len, row) = (bytes.len(), before + PIXELS);
    if !len.is_multiple_of(row) || len < MIN_IMAGES * row {
        return Err(format!(
            "has {len} bytes, which are not {MIN_IMAGES} or more images of {row}: fetch it again"
        ));
    }
    let rows = bytes.chunks_exact(row);
    Ok(Batch {
        levels: (rows.clone().flat_map(|row| &row[before..]).copied()).collect(),
        classes: rows.map(|row| u32::from(row[place])).collect(),
    })
}
