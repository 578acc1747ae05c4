//! The error of a hyperparameter outside its range, and the checks that raise it.

/// A hyperparameter outside its accepted range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{name} must be {accepted}, got {value}")]
pub struct ParameterError {
    /// Name of the hyperparameter, as configurations spell it, with the sections above it.
    pub name: String,
    /// The accepted range, in words.
    pub accepted: String,
    /// The value that was refused.
    pub value: String,
}

impl ParameterError {
    /// Builds the error for `name = value` where `accepted` says what would do.
    pub fn new(
        name: &'static str,
        value: impl std::fmt::Display,
        accepted: impl Into<String>,
    ) -> Self {
        Self {
            name: name.to_string(),
            accepted: accepted.into(),
            value: value.to_string(),
        }
    }

    /// The same error one section further up: `num_steps` under `edm` is `edm.num_steps`.
    #[must_use]
    pub fn under(mut self, section: &str) -> Self {
        self.name = format!("{section}.{}", self.name);
        self
    }

    /// Refuses everything but positive finite numbers.
    ///
    /// # Errors
    ///
    /// `value` is zero, negative, infinite or not a number.
    pub fn positive(name: &'static str, value: f64) -> Result<(), Self> {
        if value > 0.0 && value.is_finite() {
            return Ok(());
        }
        Err(Self::new(name, value, "a positive number"))
    }

    /// Refuses everything outside `low` to `high`.
    ///
    /// # Errors
    ///
    /// `value` is below `low`, above `high` or not a number.
    pub fn within(name: &'static str, value: f64, low: f64, high: f64) -> Result<(), Self> {
        if (low..=high).contains(&value) {
            return Ok(());
        }
        Err(Self::new(name, value, format!("from {low} to {high}")))
    }

    /// As [`Self::within`] for a count; `u64::MAX` is no upper end.
    ///
    /// # Errors
    ///
    /// `value` is below `low` or above `high`.
    pub fn counted(name: &'static str, value: u64, low: u64, high: u64) -> Result<(), Self> {
        if (low..=high).contains(&value) {
            return Ok(());
        }
        let accepted = match high {
            u64::MAX => format!("at least {low}"),
            _ => format!("from {low} to {high}"),
        };
        Err(Self::new(name, value, accepted))
    }

    /// Refuses a lower end that is not below its upper end.
    ///
    /// # Errors
    ///
    /// `low >= high`, or either is not a number.
    pub fn ordered(name: &'static str, low: f64, high_name: &str, high: f64) -> Result<(), Self> {
        if low < high {
            return Ok(());
        }
        Err(Self::new(name, low, format!("below {high_name} = {high}")))
    }
}
