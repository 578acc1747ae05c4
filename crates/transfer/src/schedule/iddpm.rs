//! The schedule of improved DDPM.

use serde::{Deserialize, Serialize};

use super::check_num_steps;
use crate::{IddpmLevels, ParameterError};

/// Noise levels that are even in the index of improved DDPM's levels `u_j`.
///
/// ```text
/// sigma_i = u_j,   j = floor(j_0 + (m - 1 - j_0)/(num_steps - 1) i + 1/2)
/// ```
///
/// for `i` in `0..num_steps`, then 0. Published: c_1 0.001, c_2 0.008, m 1000, j_0 8. Source: Karras et al. 2022,
/// table 1, iDDPM.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IddpmSchedule {
    /// Number of solver steps, from 2 to `m - j_0`.
    pub num_steps: usize,
    /// Least part of the signal that a step keeps.
    pub c_1: f64,
    /// Offset of the cosine.
    pub c_2: f64,
    /// Number of levels.
    pub m: usize,
    /// Index of the highest level that is visited.
    pub j_0: usize,
}

impl IddpmSchedule {
    /// Checks the parameters.
    ///
    /// # Errors
    ///
    /// Levels that [`IddpmLevels::check`] refuses, a `j_0` that leaves fewer than 2 of them, and more
    /// steps than levels.
    pub fn check(&self) -> Result<(), ParameterError> {
        check_num_steps(self.num_steps, 2)?;
        self.levels().check()?;
        if self.j_0 + 2 > self.m {
            let accepted = format!("from 0 to m - 2 = {}", self.m - 2);
            return Err(ParameterError::new("j_0", self.j_0, accepted));
        }
        let most = self.m - self.j_0;
        if self.num_steps > most {
            let accepted = format!("from 2 to m - j_0 = {most}");
            return Err(ParameterError::new("num_steps", self.num_steps, accepted));
        }
        Ok(())
    }

    /// The noise levels, highest first, with 0 at the end: `num_steps + 1` values.
    pub(crate) fn sigmas(&self) -> Vec<f64> {
        let (levels, span) = (self.levels(), self.m - 1 - self.j_0);
        let last = self.num_steps - 1;
        // Rounded in whole numbers: floor(span i / last + 1/2) = floor((2 span i + last) / (2 last)).
        let index = |i: usize| self.j_0 + (2 * span * i + last) / (2 * last);
        let visited = (0..self.num_steps).map(|i| levels.level(index(i)));
        visited.chain([0.0]).collect()
    }

    /// Lowest noise level above zero.
    pub fn sigma_min(&self) -> f64 {
        self.levels().level(self.m - 1)
    }

    /// Noise level of the prior.
    pub fn sigma_max(&self) -> f64 {
        self.levels().level(self.j_0)
    }

    fn levels(&self) -> IddpmLevels {
        IddpmLevels {
            c_1: self.c_1,
            c_2: self.c_2,
            m: self.m,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLISHED: IddpmSchedule = IddpmSchedule {
        num_steps: 250,
        c_1: 0.001,
        c_2: 0.008,
        m: 1000,
        j_0: 8,
    };

    #[test]
    fn as_many_steps_as_levels_visit_every_one() {
        let every = IddpmSchedule {
            num_steps: 992,
            ..PUBLISHED
        };
        every.check().unwrap();
        let levels = every.levels();
        for (i, got) in every.sigmas()[..992].iter().enumerate() {
            assert_eq!(*got, levels.level(8 + i), "step {i}");
        }
    }

    #[test]
    fn the_highest_level_is_about_eighty() {
        // alpha_bar(8) = sin²(π 8 / 2016): u = cot of nearly that, 80.2.
        let want = (1.0 / (std::f64::consts::PI * 8.0 / 2016.0).tan()).abs();
        let got = PUBLISHED.sigma_max();
        assert!((got / want - 1.0).abs() < 1e-3, "got {got}, want {want}");
    }

    #[test]
    fn steps_between_are_at_the_nearest_level() {
        let three = IddpmSchedule {
            num_steps: 3,
            ..PUBLISHED
        };
        // (8 + 999) / 2 = 503.5, which rounds up.
        let levels = three.levels();
        assert_eq!(three.sigmas(), [8, 504, 999, 1000].map(|j| levels.level(j)));
    }

    #[test]
    fn more_steps_than_levels_are_refused() {
        let many = IddpmSchedule {
            num_steps: 993,
            ..PUBLISHED
        };
        let got = many.check().unwrap_err().to_string();
        assert_eq!(got, "num_steps must be from 2 to m - j_0 = 992, got 993");
    }
}
