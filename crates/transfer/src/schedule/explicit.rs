//! Noise levels that are named one by one.

use serde::{Deserialize, Serialize};

use crate::{Levels, ParameterError};

/// A list of noise levels, highest first; the last may be 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExplicitSchedule(pub Vec<f64>);

impl ExplicitSchedule {
    /// Checks the list.
    ///
    /// # Errors
    ///
    /// What [`Levels::new`] refuses, and levels that rise.
    pub fn check(&self) -> Result<(), ParameterError> {
        let levels = Levels::new(self.0.clone())?;
        if levels.fall() {
            return Ok(());
        }
        let got = format!("from {} to {}", self.0[0], levels.sigma_max());
        Err(ParameterError::new(
            "levels",
            got,
            "falling, the highest first",
        ))
    }

    /// The levels.
    pub(crate) fn sigmas(&self) -> Vec<f64> {
        self.0.clone()
    }

    /// Number of steps between them.
    pub(crate) fn num_steps(&self) -> usize {
        self.0.len().saturating_sub(1)
    }

    /// Lowest noise level above zero.
    pub(crate) fn sigma_min(&self) -> f64 {
        let above = self.0.iter().filter(|sigma| **sigma > 0.0);
        above.copied().fold(f64::INFINITY, f64::min)
    }

    /// Noise level of the prior.
    pub(crate) fn sigma_max(&self) -> f64 {
        self.0.iter().copied().fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_visited_as_it_stands() {
        let list = ExplicitSchedule(vec![80.0, 2.0, 0.1, 0.0]);
        list.check().unwrap();
        assert_eq!(list.sigmas(), [80.0, 2.0, 0.1, 0.0]);
        assert_eq!(
            (list.num_steps(), list.sigma_min(), list.sigma_max()),
            (3, 0.1, 80.0)
        );
    }

    #[test]
    fn lists_that_rise_or_hold_nothing_are_refused() {
        let got = ExplicitSchedule(vec![1.0, 2.0])
            .check()
            .unwrap_err()
            .to_string();
        assert_eq!(
            got,
            "levels must be falling, the highest first, got from 1 to 2"
        );
        let got = ExplicitSchedule(vec![]).check().unwrap_err().to_string();
        assert_eq!(got, "levels must be two levels or more, got []");
    }
}
