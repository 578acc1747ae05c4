//! Which files of a set are its images, and what is passed over.

use std::collections::BTreeMap;
use std::path::Path;

use super::archive::{Entry, Listing};
use super::{format, label_file};
use crate::found::Skipped;

/// Folders that programs make beside the user's files, beyond those whose name begins with a dot.
const MADE_BY_PROGRAMS: [&str; 7] = [
    "__MACOSX",
    "@eaDir",
    "#recycle",
    "@Recycle",
    "$RECYCLE.BIN",
    "System Volume Information",
    "lost+found",
];
/// Files that programs make; they hold no images of the set.
const NOTES_OF_PROGRAMS: [&str; 2] = ["thumbs.db", "desktop.ini"];
/// Kinds of skipped files that are told apart; the rest are counted together.
const MOST_KINDS: usize = 6;

/// The files of a set by what they are for it.
#[derive(Debug)]
pub(super) struct Selection {
    /// The images in the order of their names' bytes.
    pub images: Vec<Entry>,
    /// Every `dataset.json`.
    pub label_files: Vec<Entry>,
    /// What is not part of the set.
    pub skipped: Vec<Skipped>,
}

impl Selection {
    pub(super) fn of(listing: Listing) -> Self {
        let (mut images, mut label_files) = (Vec::new(), Vec::new());
        let mut skipped = Kinds::default();
        for entry in listing.files {
            let file = file_of(&entry.name);
            if is_hidden(&entry.name) {
                if is_image(file) && !file.starts_with("._") {
                    let why = "in hidden folders or with hidden names";
                    skipped.add(("image".to_string(), why), &entry.name);
                }
            } else if is_image(file) {
                images.push(entry);
            } else if file == label_file::NAME {
                label_files.push(entry);
            } else if !NOTES_OF_PROGRAMS.contains(&file.to_ascii_lowercase().as_str()) {
                skipped.add(kind(file), &entry.name);
            }
        }
        images.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        label_files.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let mut all = listing.skipped;
        all.extend(skipped.into_skipped());
        Self {
            images,
            label_files,
            skipped: all,
        }
    }
}

/// Whether a name leads through a hidden folder, or is hidden itself.
pub(super) fn is_hidden(name: &str) -> bool {
    let hidden = |part: &str| {
        MADE_BY_PROGRAMS.contains(&part) || (part.starts_with('.') && part != "." && part != "..")
    };
    name.split('/').any(hidden)
}

/// Whether a file is an image of a set by its name.
pub(super) fn is_image(name: &str) -> bool {
    format::is_ending(&ending(name))
}

fn file_of(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or_default()
}

fn ending(name: &str) -> String {
    let ending = Path::new(file_of(name)).extension().unwrap_or_default();
    ending.to_string_lossy().to_ascii_lowercase()
}

/// What a file that is not an image is called.
fn kind(file: &str) -> Kind {
    match ending(file) {
        none if none.is_empty() => ("file".to_string(), "without an ending"),
        ending => (format!(".{ending} file"), ""),
    }
}

/// What one thing is called, and why it is left out.
type Kind = (String, &'static str);

/// Counts and first names by kind.
#[derive(Default)]
struct Kinds(BTreeMap<Kind, (usize, String)>);

impl Kinds {
    fn add(&mut self, kind: Kind, name: &str) {
        let found = self.0.entry(kind).or_insert_with(|| (0, name.to_string()));
        found.0 += 1;
        // The same example in whatever order the files come.
        if name < found.1.as_str() {
            found.1 = name.to_string();
        }
    }

    /// The kinds, most files first; beyond a few, what is left is one kind.
    fn into_skipped(self) -> Vec<Skipped> {
        let skipped = |((one, why), (count, example))| Skipped {
            one,
            why,
            count,
            example,
        };
        let mut kinds: Vec<Skipped> = self.0.into_iter().map(skipped).collect();
        kinds.sort_by_key(|kind| std::cmp::Reverse(kind.count));
        if kinds.len() > MOST_KINDS {
            let rest = kinds.split_off(MOST_KINDS - 1);
            kinds.push(Skipped {
                one: "file".to_string(),
                why: "of other kinds",
                count: rest.iter().map(|kind| kind.count).sum(),
                example: rest[0].example.clone(),
            });
        }
        kinds
    }
}
