//! The discrete noise levels of improved DDPM.

use std::f64::consts::FRAC_PI_2;

use crate::ParameterError;

/// The noise levels `u_0 > u_1 > ... > u_m = 0` of improved DDPM's cosine schedule.
///
/// ```text
/// u_m = 0,   u_(j-1)² = (u_j² + 1) / max(alpha_bar(j-1) / alpha_bar(j), c_1) - 1
/// alpha_bar(j) = sin²(π j / (2 m (c_2 + 1)))
/// ```
///
/// The quotients telescope, and they rise with j, so that c_1 holds for the first few steps alone:
/// `u_j² + 1 = alpha_bar(m) / alpha_bar(j)` from there on. Published: c_1 0.001, c_2 0.008, m 1000. Source:
/// Nichol and Dhariwal 2021, arXiv:2102.09672, in the form of Karras et al. 2022, table 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IddpmLevels {
    /// Least part of the signal that a step keeps.
    pub c_1: f64,
    /// Offset of the cosine.
    pub c_2: f64,
    /// Number of levels above 0.
    pub m: usize,
}

impl IddpmLevels {
    /// Checks the parameters.
    ///
    /// # Errors
    ///
    /// A `c_1` outside 1e-9 to 0.5, a `c_2` outside 0 to 1, fewer than 2 levels or more than 1,000,000.
    pub fn check(&self) -> Result<(), ParameterError> {
        ParameterError::within("c_1", self.c_1, 1e-9, 0.5)?;
        ParameterError::within("c_2", self.c_2, 0.0, 1.0)?;
        if !(2..=1_000_000).contains(&self.m) {
            return Err(ParameterError::new("m", self.m, "from 2 to 1000000"));
        }
        Ok(())
    }

    /// The level `u_j`, for `j` up to m.
    #[must_use]
    pub fn level(&self, j: usize) -> f64 {
        let free = j.max(self.held());
        let ratio = self.sine(self.m) / self.sine(free);
        // sqrt(ratio² - 1), without its cancellation near the end.
        let level = ((ratio - 1.0) * (ratio + 1.0)).max(0.0).sqrt();
        if j >= free {
            return level;
        }
        let growth = self.c_1.sqrt().powi((free - j) as i32).recip();
        let ratio = ratio * growth;
        ((ratio - 1.0) * (ratio + 1.0)).sqrt()
    }

    /// The j in `0..m` whose level is nearest to `sigma`; the lower one, of more noise, if two are.
    #[must_use]
    pub fn nearest(&self, sigma: f64) -> usize {
        let (mut above, mut below) = (0, self.m - 1);
        while below - above > 1 {
            let middle = usize::midpoint(above, below);
            if self.level(middle) >= sigma {
                above = middle;
            } else {
                below = middle;
            }
        }
        let distance = |j| (self.level(j) - sigma).abs();
        if distance(below) < distance(above) {
            below
        } else {
            above
        }
    }

    /// `sqrt(alpha_bar(j))`.
    fn sine(&self, j: usize) -> f64 {
        (FRAC_PI_2 * j as f64 / (self.m as f64 * (self.c_2 + 1.0))).sin()
    }

    /// Steps from the top that c_1 holds: alpha_bar(0) is 0, so at least the first.
    fn held(&self) -> usize {
        let keeps = |j: usize| (self.sine(j) / self.sine(j + 1)).powi(2);
        (0..self.m).take_while(|&j| keeps(j) < self.c_1).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLISHED: IddpmLevels = IddpmLevels {
        c_1: 0.001,
        c_2: 0.008,
        m: 1000,
    };

    /// The recursion of the definition.
    fn by_recursion(levels: IddpmLevels) -> Vec<f64> {
        let m = levels.m;
        let angle = |j: usize| FRAC_PI_2 * j as f64 / (m as f64 * (levels.c_2 + 1.0));
        let alpha_bar = |j: usize| angle(j).sin().powi(2);
        let mut u = vec![0.0; m + 1];
        for j in (1..=m).rev() {
            let kept = (alpha_bar(j - 1) / alpha_bar(j)).max(levels.c_1);
            u[j - 1] = ((f64::powi(u[j], 2) + 1.0) / kept - 1.0).sqrt();
        }
        u
    }

    #[test]
    fn the_closed_form_is_the_recursion() {
        let coarse = IddpmLevels {
            c_1: 0.4,
            m: 20,
            ..PUBLISHED
        };
        for levels in [PUBLISHED, coarse] {
            for (j, want) in by_recursion(levels).into_iter().enumerate() {
                let got = levels.level(j);
                // The recursion itself subtracts 1 from numbers near 1.
                let tolerance = 1e-8 * want + 1e-9;
                assert!(
                    (got - want).abs() < tolerance,
                    "j {j}: got {got}, want {want}"
                );
            }
        }
    }

    #[test]
    fn every_level_is_its_own_nearest() {
        for j in 0..PUBLISHED.m {
            assert_eq!(PUBLISHED.nearest(PUBLISHED.level(j)), j);
        }
    }

    #[test]
    fn between_levels_the_nearest_wins_and_beyond_them_the_last() {
        let at = |j| PUBLISHED.level(j);
        for (sigma, want) in [
            (0.6 * at(400) + 0.4 * at(401), 400),
            (0.4 * at(400) + 0.6 * at(401), 401),
            (1e9, 0),
            (0.0, 999),
        ] {
            assert_eq!(PUBLISHED.nearest(sigma), want, "sigma {sigma}");
        }
    }
}
