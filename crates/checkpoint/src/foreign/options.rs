//! The options of a configuration of diffusers, each taken once.

use std::ops::RangeInclusive;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::ForeignError;

/// What describes a configuration and changes nothing of what it means.
const DESCRIPTION: [&str; 4] = [
    "_class_name",
    "_diffusers_version",
    "_name_or_path",
    "_use_default_values",
];

/// A kind of value, in words that an error can use.
pub(super) trait Kind: DeserializeOwned {
    const WORDS: &str;
}

impl Kind for usize {
    const WORDS: &str = "a whole number";
}
impl Kind for f64 {
    const WORDS: &str = "a number";
}
impl Kind for bool {
    const WORDS: &str = "true or false";
}
impl Kind for String {
    const WORDS: &str = "a word";
}
impl Kind for Option<usize> {
    const WORDS: &str = "a whole number or null";
}
impl Kind for Option<bool> {
    const WORDS: &str = "true, false or null";
}
impl Kind for Option<String> {
    const WORDS: &str = "a word or null";
}
impl Kind for Option<Vec<f64>> {
    const WORDS: &str = "a list of numbers or null";
}
impl Kind for Vec<usize> {
    const WORDS: &str = "a list of whole numbers";
}
impl Kind for Vec<String> {
    const WORDS: &str = "a list of words";
}
impl Kind for [usize; 2] {
    const WORDS: &str = "one whole number or two";
}

/// Takes options by name; what is left at the end is not known here.
pub(super) struct Options<'a> {
    file: &'a str,
    left: Map<String, Value>,
}

impl<'a> Options<'a> {
    /// The options of `file`, without those that describe it.
    pub(super) fn new(map: &Map<String, Value>, file: &'a str) -> Self {
        let told = map
            .iter()
            .filter(|(name, _)| !DESCRIPTION.contains(&name.as_str()));
        let left = told.map(|(name, value)| (name.clone(), value.clone()));
        Self {
            file,
            left: left.collect(),
        }
    }

    /// The value of an option; `default` is that of diffusers.
    pub(super) fn take<T: Kind>(&mut self, name: &str, default: T) -> Result<T, ForeignError> {
        match self.left.remove(name) {
            None => Ok(default),
            Some(value) => self.read(name, value),
        }
    }

    /// The value of an option that has no default.
    pub(super) fn need<T: Kind>(&mut self, name: &str) -> Result<T, ForeignError> {
        let value = self.left.remove(name).unwrap_or(Value::Null);
        self.read(name, value)
    }

    /// A size, `default` where it is left out or null.
    pub(super) fn size(
        &mut self,
        name: &str,
        default: usize,
        accepted: RangeInclusive<usize>,
    ) -> Result<usize, ForeignError> {
        let size = self.take(name, None)?.unwrap_or(default);
        self.within(name, size, &accepted)?;
        Ok(size)
    }

    /// Refuses a size outside of what is accepted.
    pub(super) fn within(
        &self,
        name: &str,
        size: usize,
        accepted: &RangeInclusive<usize>,
    ) -> Result<(), ForeignError> {
        if accepted.contains(&size) {
            return Ok(());
        }
        Err(ForeignError::Setting {
            name: format!("{name} of {}", self.file),
            value: size.to_string(),
            accepted: format!("from {} to {}", accepted.start(), accepted.end()),
        })
    }

    /// Whether the value of an option is a list.
    pub(super) fn is_list(&self, name: &str) -> bool {
        self.left.get(name).is_some_and(Value::is_array)
    }

    /// Whether an option is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.left.contains_key(name)
    }

    fn read<T: Kind>(&self, name: &str, value: Value) -> Result<T, ForeignError> {
        let text = short(&value);
        // `1000.0` is a whole number to Python's users.
        let value = match value.as_f64() {
            Some(number) if value.is_f64() && number.fract() == 0.0 && number.abs() < 1e15 => {
                let whole = serde_json::from_value(Value::from(number as i64));
                if let Ok(whole) = whole {
                    return Ok(whole);
                }
                value
            }
            _ => value,
        };
        serde_json::from_value(value).map_err(|_| ForeignError::Setting {
            name: format!("{name} of {}", self.file),
            value: text,
            accepted: T::WORDS.into(),
        })
    }

    /// An option of which one value is known here, that of diffusers' default or of every published model.
    pub(super) fn expect(&mut self, name: &str, known: &[Value]) -> Result<(), ForeignError> {
        match self.left.remove(name) {
            Some(value) if !known.contains(&value) => {
                let what = format!("{name} {} in {}", short(&value), self.file);
                Err(ForeignError::Unsupported(what))
            }
            _ => Ok(()),
        }
    }

    /// One of a few words, the first where it is left out.
    pub(super) fn one_of<T: Copy>(
        &mut self,
        name: &str,
        known: &[(&str, T)],
    ) -> Result<T, ForeignError> {
        let Some(value) = self.left.remove(name) else {
            return Ok(known[0].1);
        };
        let found = known.iter().find(|(word, _)| value == *word);
        found.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let what = format!("{name} {} in {}", short(&value), self.file);
            ForeignError::Unsupported(what)
        })
    }

    /// Leaves options out that change nothing here.
    pub(super) fn ignore(&mut self, names: &[&str]) {
        for name in names {
            self.left.remove(*name);
        }
    }

    /// Refuses options that are not known here.
    pub(super) fn finish(&self) -> Result<(), ForeignError> {
        match self.left.iter().next() {
            None => Ok(()),
            Some((name, value)) => {
                let what = format!("{name:.60} {} in {}", short(value), self.file);
                Err(ForeignError::Unsupported(what))
            }
        }
    }
}

/// A value cut to what fits a line.
fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.chars().count() {
        0..=60 => text,
        _ => text.chars().take(57).chain("...".chars()).collect(),
    }
}
