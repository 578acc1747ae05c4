//! `dataset.json`: the classes of the images, as the published EDM tools write and read them.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::file_error::FileError;
use crate::file_kind::FileKind;
use crate::labels::{ClassLabels, MAX_CLASSES};

/// The file that holds the classes.
pub(super) const NAME: &str = "dataset.json";
/// Bytes of all label files of a set.
pub(super) const MAX_LABEL_BYTES: u64 = 64 << 20;
const ACCEPTED: &str = "{\"labels\": [[name, class], ...]} is accepted, with null for no labels";

/// What a label file says.
pub(super) enum LabelFile {
    /// Labels by name.
    Labels(ByName),
    /// That there are none: `"labels": null`.
    Null,
    /// Nothing of labels.
    Missing,
}

/// Labels by the name of the image.
pub(super) struct ByName {
    labels: HashMap<String, Label>,
    /// Names that stand there again; the last label counts.
    pub named_twice: usize,
}

/// The label of an image.
#[derive(Clone, Debug, PartialEq)]
enum Label {
    Number(f64),
    Vector(Vec<f64>),
    Other,
}

/// Reads a label file; other keys belong to other programs.
///
/// # Errors
///
/// What is not JSON, or of another layout.
pub(super) fn parse(path: &Path, name: &str, json: &[u8]) -> Result<LabelFile, FileError> {
    let bad = |reason: String| FileError::entry(path, name, reason);
    // Some editors put a mark before the text.
    let json = json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json);
    serde_json::from_slice::<Document>(json)
        .map(|document| document.0)
        .map_err(|error| {
            let head = &json[..json.len().min(FileKind::HEAD)];
            match FileKind::of(head, json.len() as u64) {
                Some(kind) if !json.starts_with(b"{") => bad(format!("is {kind}; {ACCEPTED}")),
                _ => bad(format!("{}: {ACCEPTED}", in_words(&error))),
            }
        })
}

/// What is wrong with the JSON, without the names that serde has for its kinds of values.
fn in_words(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let wanted = message
        .strip_prefix("invalid ")
        .and_then(|m| m.split_once(", expected "));
    match wanted {
        Some((_, wanted)) => format!("must be {wanted}"),
        None => message,
    }
}

/// The class of each of `names` by `files`, each with the folder that it lies in, or why there is none.
pub(super) fn classes(files: &[(&str, ByName)], names: &[&str]) -> Result<ClassLabels, String> {
    let mut labels = Vec::with_capacity(names.len());
    let mut missing = Missing::default();
    for name in names {
        let label = files.iter().find_map(|(folder, by_name)| {
            let inner = name.strip_prefix(folder)?;
            let found = by_name.labels.get(inner);
            found.or_else(|| by_name.labels.get(*name))
        });
        match label {
            Some(label) => labels.push((*name, label)),
            None => missing.add(name),
        }
    }
    missing.check()?;
    let length = vector_length(&labels)?;
    let mut values = Vec::with_capacity(labels.len());
    for (name, label) in &labels {
        values.push(class(name, label)?);
    }
    let largest = values.iter().max().map_or(0, |&class| class as usize + 1);
    Ok(ClassLabels::new(values, length.unwrap_or(largest)))
}

/// Images without a label.
#[derive(Default)]
struct Missing<'n> {
    first: Option<&'n str>,
    count: usize,
}

impl<'n> Missing<'n> {
    fn add(&mut self, name: &'n str) {
        self.first.get_or_insert(name);
        self.count += 1;
    }

    fn check(&self) -> Result<(), String> {
        match (self.first, self.count) {
            (None, _) => Ok(()),
            (Some(first), 1) => Err(format!("{NAME} has no class for image {first}")),
            (Some(first), count) => Err(format!(
                "{NAME} has no class for {count} images, the first is {first}"
            )),
        }
    }
}

/// The length that all labels have which are vectors; none if they are numbers.
fn vector_length(labels: &[(&str, &Label)]) -> Result<Option<usize>, String> {
    let length = |label: &Label| match label {
        Label::Vector(values) => Some(values.len()),
        Label::Number(_) | Label::Other => None,
    };
    let Some((_, first)) = labels.first() else {
        return Ok(None);
    };
    let first = length(first);
    match labels.iter().find(|(_, label)| length(label) != first) {
        None => Ok(first),
        Some((name, _)) => Err(format!(
            "the label of image {name} in {NAME} is not of the kind of the others"
        )),
    }
}

/// The class that a label names: a whole number, or a vector of zeros and one 1.
fn class(name: &str, label: &Label) -> Result<u32, String> {
    let class = match label {
        Label::Number(number) if number.fract() == 0.0 => *number,
        Label::Vector(values) => {
            let ones = values.iter().filter(|&&value| value == 1.0).count();
            let zeros = values.iter().filter(|&&value| value == 0.0).count();
            let position = values.iter().position(|&value| value == 1.0);
            match position {
                Some(position) if ones == 1 && zeros + 1 == values.len() => position as f64,
                _ => {
                    return Err(format!(
                        "labels in {NAME} are vectors that do not name one class (image {name})"
                    ));
                }
            }
        }
        Label::Number(number) => {
            return Err(format!(
                "class of image {name} in {NAME} must be a whole number, got {number}"
            ));
        }
        Label::Other => {
            return Err(format!(
                "class of image {name} in {NAME} must be a whole number"
            ));
        }
    };
    if (0.0..MAX_CLASSES as f64).contains(&class) {
        return Ok(class as u32);
    }
    Err(format!(
        "class of image {name} in {NAME} must be in 0..{MAX_CLASSES}, got {class}"
    ))
}

/// A name as the images have it.
fn plain(name: &str) -> String {
    let name = name.replace('\\', "/");
    name.strip_prefix("./").map_or(name.clone(), String::from)
}

/// The whole file.
struct Document(LabelFile);

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Document;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with the key `labels`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document, A::Error> {
                let mut found = LabelFile::Missing;
                while let Some(key) = map.next_key::<String>()? {
                    if key != "labels" {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    let labels = map.next_value::<Option<ByName>>()?;
                    found = labels.map_or(LabelFile::Null, LabelFile::Labels);
                }
                Ok(Document(found))
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

impl<'de> Deserialize<'de> for ByName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = ByName;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of pairs of a name and a class, or an object of them")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<ByName, A::Error> {
                let mut by_name = ByName::empty();
                while let Some(Pair(name, label)) = seq.next_element()? {
                    by_name.add(&name, label);
                }
                Ok(by_name)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ByName, A::Error> {
                let mut by_name = ByName::empty();
                while let Some((name, label)) = map.next_entry::<String, Label>()? {
                    by_name.add(&name, label);
                }
                Ok(by_name)
            }
        }
        deserializer.deserialize_any(Pairs)
    }
}

impl ByName {
    fn empty() -> Self {
        Self {
            labels: HashMap::new(),
            named_twice: 0,
        }
    }

    fn add(&mut self, name: &str, label: Label) {
        let before = self.labels.insert(plain(name), label);
        self.named_twice += usize::from(before.is_some());
    }
}

struct Pair(String, Label);

impl<'de> Deserialize<'de> for Pair {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Two;
        impl<'de> Visitor<'de> for Two {
            type Value = Pair;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a pair of a name and a class")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Pair, A::Error> {
                let short = || A::Error::invalid_length(0, &"a pair of a name and a class");
                let name = seq.next_element()?.ok_or_else(short)?;
                let label = seq.next_element()?.ok_or_else(short)?;
                match seq.next_element::<IgnoredAny>()? {
                    None => Ok(Pair(name, label)),
                    Some(_) => Err(A::Error::invalid_length(3, &"a pair of a name and a class")),
                }
            }
        }
        deserializer.deserialize_seq(Two)
    }
}

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Label;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a class: a whole number, or a list of numbers")
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Label, E> {
                Ok(Label::Number(value as f64))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Label, E> {
                Ok(Label::Number(value as f64))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Label, E> {
                Ok(Label::Number(value))
            }

            // A number in quotes is one; whatever else stands there matters only to who asks for classes.
            fn visit_str<E: Error>(self, value: &str) -> Result<Label, E> {
                Ok(value.trim().parse().map_or(Label::Other, Label::Number))
            }

            fn visit_unit<E: Error>(self) -> Result<Label, E> {
                Ok(Label::Other)
            }

            fn visit_bool<E: Error>(self, _: bool) -> Result<Label, E> {
                Ok(Label::Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Label, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = seq.next_element()? {
                    values.push(value);
                }
                Ok(Label::Vector(values))
            }
        }
        deserializer.deserialize_any(Any)
    }
}
