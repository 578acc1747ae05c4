//! The options of a configuration of diffusers, each taken once.

use std::ops::RangeInclusive;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::ForeignError;

/// Takes options by name; what is left at the end is not known here.
pub(super) struct Options<'a> {
    file: &'a str,
    left: Map<String, Value>,
}

impl<'a> Options<'a> {
    /// The options of `file`, those that describe it and those that are empty left out.
    pub(super) fn new(map: &Map<String, Value>, file: &'a str) -> Self {
        let told = map.iter().filter(|(name, _)| !name.starts_with('_'));
        let left = told.map(|(name, value)| (name.clone(), value.clone()));
        Self {
            file,
            left: left.collect(),
        }
    }

    /// The value of an option; `default` is that of diffusers.
    pub(super) fn take<T: DeserializeOwned>(
        &mut self,
        name: &str,
        default: T,
    ) -> Result<T, ForeignError> {
        match self.left.remove(name) {
            None => Ok(default),
            Some(value) => self.read(name, value),
        }
    }

    /// The value of an option that has no default.
    pub(super) fn need<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, ForeignError> {
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

    fn read<T: DeserializeOwned>(&self, name: &str, value: Value) -> Result<T, ForeignError> {
        let text = value.to_string().chars().take(60).collect();
        serde_json::from_value(value).map_err(|e| {
            // serde names what it expects as Rust does.
            let problem = e.to_string().replace("usize", "a whole number");
            ForeignError::Setting {
                name: format!("{name} of {}", self.file),
                value: text,
                accepted: format!("another ({})", problem.replace("f64", "a number")),
            }
        })
    }

    /// An option of which one value is known here, that of diffusers' default or of every published model.
    pub(super) fn expect(&mut self, name: &str, known: &[Value]) -> Result<(), ForeignError> {
        match self.left.remove(name) {
            Some(value) if !known.contains(&value) => {
                let value: String = value.to_string().chars().take(60).collect();
                let what = format!("{name} {value} in {}", self.file);
                Err(ForeignError::Unsupported(what))
            }
            _ => Ok(()),
        }
    }

    /// Leaves options out that change nothing here.
    pub(super) fn ignore(&mut self, names: &[&str]) {
        for name in names {
            self.left.remove(*name);
        }
    }

    /// Refuses options that were not taken, but for those that are empty or off.
    pub(super) fn finish(self) -> Result<(), ForeignError> {
        let off = |value: &Value| matches!(value, Value::Null | Value::Bool(false));
        match self.left.into_iter().find(|(_, value)| !off(value)) {
            None => Ok(()),
            Some((name, value)) => {
                let value: String = value.to_string().chars().take(60).collect();
                let what = format!("{name:.60} {value} in {}", self.file);
                Err(ForeignError::Unsupported(what))
            }
        }
    }
}
