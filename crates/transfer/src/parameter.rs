//! The error of a hyperparameter outside its range, and the checks that raise it.

use pfgmpp_kernel::Dimension;

/// Digits of a number that a message shows.
const DIGITS: usize = 20;

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
            value: shorter(value.to_string()),
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
        let [low, high] = [low, high].map(|end| shorter(end.to_string()));
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

    /// Refuses a D that networks, which work in `f32`, cannot be trained or sampled at: below 0.1 too much of the noise
    /// leaves their range; above 1e15 D is infinite to every digit.
    ///
    /// # Errors
    ///
    /// `d` is below 0.1, or above 1e15 and not infinite.
    pub fn dimension(name: &'static str, d: Dimension) -> Result<(), Self> {
        match d {
            Dimension::Finite(value) if !(0.1..=1e15).contains(&value) => {
                Err(Self::new(name, value, "from 0.1 to 1e15, or inf"))
            }
            _ => Ok(()),
        }
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
/// A number of many digits with an exponent instead; any other text as it is.
fn shorter(text: String) -> String {
    match text.parse::<f64>() {
        Ok(value) if text.len() > DIGITS => format!("{value:e}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_many_digits_is_shown_with_its_exponent() {
        for (value, want) in [
            (1e300, "1e300"),
            (1e-300, "1e-300"),
            (0.002, "0.002"),
            (-1.0, "-1"),
        ] {
            let error = ParameterError::positive("x", -f64::abs(value)).unwrap_err();
            let want = format!("-{}", want.trim_start_matches('-'));
            assert_eq!(error.value, want);
        }
    }

    #[test]
    fn dimensions_that_networks_are_not_for_are_refused() {
        for (d, is_accepted) in [(0.1, true), (1e15, true), (0.09, false), (1e16, false)] {
            let got = ParameterError::dimension("d", Dimension::Finite(d));
            assert_eq!(got.is_ok(), is_accepted, "D = {d}: {got:?}");
        }
        assert!(ParameterError::dimension("d", Dimension::Infinite).is_ok());
    }
}
