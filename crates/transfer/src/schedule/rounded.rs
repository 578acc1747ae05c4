//! EDM's schedule for networks that know some levels only.

use serde::{Deserialize, Serialize};

use super::EdmSchedule;
use crate::{IddpmLevels, ParameterError};

/// EDM's noise levels, each rounded to the nearest that a network of improved DDPM was trained at.
///
/// ```text
/// sigma_i = u_j,   j = argmin |u_j - sigma_i of EDM|
/// ```
///
/// Two levels that are rounded to the same one are one, so there may be fewer steps than EDM's. The state starts at
/// the rounded level too. Source: Karras et al. 2022, appendix C.3.4, which rounds every level before it is used;
/// churn raises a level to one that is not rounded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoundedSchedule {
    /// Number of solver steps before levels are rounded.
    pub num_steps: usize,
    /// Lowest noise level above zero, before it is rounded.
    pub sigma_min: f64,
    /// Highest noise level, before it is rounded.
    pub sigma_max: f64,
    /// How much the steps lean towards low noise.
    pub rho: f64,
    /// Least part of the signal that a step keeps.
    pub c_1: f64,
    /// Offset of the cosine.
    pub c_2: f64,
    /// Number of levels that the network knows.
    pub m: usize,
}

impl RoundedSchedule {
    /// Checks the parameters.
    ///
    /// # Errors
    ///
    /// As [`EdmSchedule::check`] and [`IddpmLevels::check`]; ends that are rounded to one level.
    pub fn check(&self) -> Result<(), ParameterError> {
        self.edm().check()?;
        self.levels().check()?;
        ParameterError::ordered("sigma_min", self.sigma_min(), "sigma_max", self.sigma_max())
    }

    /// The noise levels, highest first, with 0 at the end.
    pub(crate) fn sigmas(&self) -> Vec<f64> {
        let mut sigmas = self.edm().sigmas();
        for sigma in sigmas.iter_mut().filter(|sigma| **sigma > 0.0) {
            *sigma = self.rounded(*sigma);
        }
        sigmas.dedup();
        sigmas
    }

    /// Number of steps between different levels.
    pub fn num_steps(&self) -> usize {
        self.sigmas().len() - 1
    }

    /// Lowest noise level above zero.
    pub fn sigma_min(&self) -> f64 {
        self.rounded(self.sigma_min)
    }

    /// Noise level of the prior.
    pub fn sigma_max(&self) -> f64 {
        self.rounded(self.sigma_max)
    }

    fn rounded(&self, sigma: f64) -> f64 {
        let levels = self.levels();
        levels.level(levels.nearest(sigma))
    }

    fn edm(&self) -> EdmSchedule {
        EdmSchedule {
            num_steps: self.num_steps,
            sigma_min: self.sigma_min,
            sigma_max: self.sigma_max,
            rho: self.rho,
        }
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

    const PUBLISHED: RoundedSchedule = RoundedSchedule {
        num_steps: 40,
        sigma_min: 0.0064,
        sigma_max: 80.0,
        rho: 7.0,
        c_1: 0.001,
        c_2: 0.008,
        m: 1000,
    };

    #[test]
    fn every_level_is_one_that_the_network_knows_and_the_nearest_to_that_of_edm() {
        let (levels, edm) = (PUBLISHED.levels(), PUBLISHED.edm().sigmas());
        let known: Vec<f64> = (0..1000).map(|j| levels.level(j)).collect();
        let got = PUBLISHED.sigmas();
        assert_eq!(got.len(), edm.len());
        for (got, edm) in got.iter().zip(&edm).take(40) {
            let nearest = known.iter().map(|level| (level - edm).abs());
            let least = nearest.fold(f64::INFINITY, f64::min);
            assert!(known.contains(got), "got {got}, which is not a level");
            assert_eq!((got - edm).abs(), least, "got {got} for {edm}");
        }
        assert_eq!(got[0], PUBLISHED.sigma_max());
        assert_eq!(got[40], 0.0);
    }

    #[test]
    fn levels_that_round_alike_are_visited_once() {
        let coarse = RoundedSchedule { m: 20, ..PUBLISHED };
        coarse.check().unwrap();
        let sigmas = coarse.sigmas();
        assert!(sigmas.len() < 22, "got {} levels", sigmas.len());
        assert!(sigmas.windows(2).all(|w| w[0] > w[1]), "got {sigmas:?}");
        assert_eq!(coarse.num_steps(), sigmas.len() - 1);
    }
}
