//! The error of a configuration.

use std::fmt::Display;

/// A configuration that cannot be used: one line that says where and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {message}")]
pub struct ConfigError {
    /// The file, flag or axis that the value came from.
    pub origin: String,
    /// What is wrong with it.
    pub message: String,
}

impl ConfigError {
    /// The error `origin: message`.
    pub fn new(origin: impl Display, message: impl Display) -> Self {
        Self {
            origin: origin.to_string(),
            message: message.to_string(),
        }
    }
}
