//! What can be wrong with the configuration of a network.

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// An integer outside its range.
    #[error("{name} is {value}, it must be {accepted}")]
    Integer {
        /// Name of the value.
        name: &'static str,
        /// The value.
        value: usize,
        /// What it may be.
        accepted: String,
    },
    /// No resolution at all.
    #[error("{0} is empty, it must hold at least one entry")]
    NoLevels(&'static str),
    /// A probability or another fraction outside its range.
    #[error("{name} is {value}, it must be at least 0 and less than 1")]
    Fraction {
        /// Name of the value.
        name: &'static str,
        /// The value.
        value: f64,
    },
    /// A number outside its range.
    #[error("{name} is {value}, it must be {accepted}")]
    Number {
        /// Name of the value.
        name: &'static str,
        /// The value.
        value: f64,
        /// What it may be.
        accepted: &'static str,
    },
    /// Images of a shape that the network has no weights for.
    #[error("images must be square for this network, got {0}x{1}")]
    NotSquare(usize, usize),
}

/// Refuses a value that `accepts` does not take.
pub(crate) fn require(
    name: &'static str,
    value: usize,
    accepted: &str,
    accepts: impl Fn(usize) -> bool,
) -> Result<(), ConfigError> {
    if accepts(value) {
        Ok(())
    } else {
        Err(ConfigError::Integer {
            name,
            value,
            accepted: accepted.to_owned(),
        })
    }
}

/// Refuses a value outside `[0, 1)`.
pub(crate) fn require_fraction(name: &'static str, value: f64) -> Result<(), ConfigError> {
    if (0.0..1.0).contains(&value) {
        Ok(())
    } else {
        Err(ConfigError::Fraction { name, value })
    }
}
