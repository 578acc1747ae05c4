//! Noise levels that have been checked.

use crate::{EdmSchedule, ParameterError, Schedule};

/// The lowest level above 0: data are of the order of 1, and squares of much lower ones are nothing beside them.
const LOWEST: f64 = 1e-9;
/// The highest level.
const HIGHEST: f64 = 1e6;

/// The noise levels that a solver visits, one after the other: falling when it samples, rising when it encodes.
///
/// At least two, finite, none equal to the one before; 0 may stand only at the end of falling ones, where the
/// slope of the ODE is not defined any more.
#[derive(Clone, Debug, PartialEq)]
pub struct Levels(Vec<f64>);

impl Levels {
    /// Takes levels in the order in which they are visited.
    ///
    /// # Errors
    ///
    /// Fewer than two; one that is neither 0 nor from 1e-9 to 1e6; 0 anywhere but at the end of falling ones;
    /// levels that neither fall nor rise throughout.
    pub fn new(levels: Vec<f64>) -> Result<Self, ParameterError> {
        let accepted = |what: &str| Err(ParameterError::new("levels", Shown(&levels), what));
        if levels.len() < 2 {
            return accepted("two levels or more");
        }
        let is_level = |level: &f64| *level == 0.0 || (LOWEST..=HIGHEST).contains(level);
        if !levels.iter().all(is_level) {
            return accepted(&format!("from {LOWEST:e} to {HIGHEST:e} each, or 0"));
        }
        let falls = levels.windows(2).all(|pair| pair[0] > pair[1]);
        if !falls && !levels.windows(2).all(|pair| pair[0] < pair[1]) {
            return accepted("strictly falling, or strictly rising, throughout");
        }
        if !falls && levels[0] == 0.0 {
            return accepted("above 0 where they rise: the slope is not defined at 0");
        }
        if levels[0] > 0.0 && levels[1] == 0.0 {
            return accepted("two levels or more above 0");
        }
        Ok(Self(levels))
    }

    /// EDM's levels: even in `sigma^(1/rho)`, then 0; [`EdmSchedule`] says more.
    ///
    /// # Errors
    ///
    /// As [`EdmSchedule::check`].
    pub fn edm(
        num_steps: usize,
        sigma_min: f64,
        sigma_max: f64,
        rho: f64,
    ) -> Result<Self, ParameterError> {
        let edm = EdmSchedule {
            num_steps,
            sigma_min,
            sigma_max,
            rho,
        };
        Schedule::Edm(edm).levels()
    }

    /// The levels, first to last.
    #[must_use]
    pub fn as_slice(&self) -> &[f64] {
        &self.0
    }

    /// Number of steps between them.
    #[must_use]
    pub fn num_steps(&self) -> usize {
        self.0.len() - 1
    }

    /// Number of steps that end above 0.
    #[must_use]
    pub fn steps_above_zero(&self) -> usize {
        self.num_steps() - usize::from(self.ends_at_zero())
    }

    /// Whether the last level is 0.
    #[must_use]
    pub fn ends_at_zero(&self) -> bool {
        self.0.last() == Some(&0.0)
    }

    /// Whether they fall, as they do in sampling.
    #[must_use]
    pub fn fall(&self) -> bool {
        self.0[0] > self.0[1]
    }

    /// The first and the last level above 0.
    #[must_use]
    pub fn ends(&self) -> [f64; 2] {
        [self.0[0], self.0[self.steps_above_zero()]]
    }

    /// The highest level.
    #[must_use]
    pub fn sigma_max(&self) -> f64 {
        let [first, last] = self.ends();
        first.max(last)
    }

    /// The way back: the same levels in reverse order, without 0.
    #[must_use]
    pub fn reversed(&self) -> Self {
        let above = &self.0[..=self.steps_above_zero()];
        Self(above.iter().rev().copied().collect())
    }
}

/// The first levels of a list that may be long.
struct Shown<'a>(&'a [f64]);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (first, rest) = self.0.split_at(self.0.len().min(6));
        let ellipsis = if rest.is_empty() { "" } else { ", ..." };
        let first: Vec<String> = first.iter().map(short).collect();
        write!(f, "[{}{ellipsis}]", first.join(", "))
    }
}

/// A level of few digits.
fn short(level: &f64) -> String {
    match level.abs() {
        1e-300..1e-6 | 1e7.. => format!("{level:e}"),
        _ => level.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn falling_levels_are_reversed_without_their_zero() {
        let falling = Levels::new(vec![80.0, 1.0, 0.5, 0.0]).unwrap();
        assert_eq!((falling.num_steps(), falling.steps_above_zero()), (3, 2));
        assert_eq!((falling.ends(), falling.fall()), ([80.0, 0.5], true));
        let rising = falling.reversed();
        assert_eq!(rising.as_slice(), [0.5, 1.0, 80.0]);
        assert_eq!((rising.ends(), rising.fall()), ([0.5, 80.0], false));
        assert_eq!(rising.sigma_max(), 80.0);
    }

    #[test]
    fn levels_that_no_solver_can_visit_are_refused() {
        for (levels, want) in [
            (vec![1.0], "two levels or more, got [1]"),
            (vec![1.0, -1.0], "from 1e-9 to 1e6 each, or 0, got [1, -1]"),
            (
                vec![1.0, f64::NAN],
                "from 1e-9 to 1e6 each, or 0, got [1, NaN]",
            ),
            (vec![1.0, 1e-300], "or 0, got [1, 1e-300]"),
            (vec![1.0, 0.5, 0.7], "strictly falling, or strictly rising"),
            (vec![0.0, 0.5], "above 0 where they rise"),
            (vec![1.0, 0.0], "two levels or more above 0, got [1, 0]"),
        ] {
            let got = Levels::new(levels).unwrap_err().to_string();
            assert!(got.contains(want), "got {got}, want {want}");
        }
    }
}
