//! The error of a configuration.

use std::fmt::Display;

use crate::kind::ConfigKind;

/// A configuration that cannot be used: one line that says where and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {message}")]
pub struct ConfigError {
    /// The file, flag or axis that the value came from.
    pub origin: String,
    /// What is wrong with it.
    pub message: String,
    /// What the file is, where it is one of another kind than was asked for.
    pub other_kind: Option<ConfigKind>,
}

impl ConfigError {
    /// The error `origin: message`.
    pub fn new(origin: impl Display, message: impl Display) -> Self {
        Self {
            origin: origin.to_string(),
            message: message.to_string(),
            other_kind: None,
        }
    }

    /// A file that is a configuration of another kind than `wanted`.
    pub(crate) fn other_kind(origin: impl Display, found: ConfigKind, wanted: ConfigKind) -> Self {
        let message = format!("is {}, not {}", found.name(), wanted.name());
        Self {
            other_kind: Some(found),
            ..Self::new(origin, message)
        }
    }
}
