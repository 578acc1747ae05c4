//! The preconditioning of networks that estimate the noise: VP, VE and iDDPM.

use serde::{Deserialize, Serialize};

use super::{Coefficients, NoiseLevel};
use crate::{IddpmLevels, ParameterError, Real, VpProcess};

/// The preconditioning of the variance-preserving process (DDPM).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VpPreconditioning {
    /// Rise of the rate of noising.
    pub beta_d: f64,
    /// Rate of noising at the start.
    pub beta_min: f64,
    /// Number of steps that the network's input for the noise level counts.
    pub m: usize,
    /// Which noise level the coefficients are taken at.
    pub noise: NoiseLevel,
}

/// The preconditioning of the variance-exploding process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VePreconditioning {
    /// Which noise level the coefficients are taken at.
    pub noise: NoiseLevel,
}

/// The preconditioning of improved DDPM.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IddpmPreconditioning {
    /// Least part of the signal that a step keeps.
    pub c_1: f64,
    /// Offset of the cosine.
    pub c_2: f64,
    /// Number of levels that the network was trained at.
    pub m: usize,
    /// Which noise level the coefficients are taken at.
    pub noise: NoiseLevel,
}

/// The scalings of a network that estimates the noise, up to its sign.
fn residual<R: Real>(sigma: R, sign: f64, c_in: R, c_noise: R) -> Coefficients<R> {
    Coefficients {
        c_skip: R::from(1.0),
        c_out: sigma * sign,
        c_in,
        c_noise,
        weight: sigma.powi(-2),
    }
}

impl VpPreconditioning {
    fn process(&self) -> VpProcess {
        VpProcess {
            beta_d: self.beta_d,
            beta_min: self.beta_min,
        }
    }

    pub(super) fn coefficients<R: Real>(&self, sigma: R) -> Coefficients<R> {
        let c_noise = self.process().t_of(sigma) * (self.m - 1) as f64;
        residual(sigma, -1.0, sigma.hypot(R::from(1.0)).recip(), c_noise)
    }

    pub(super) fn check(&self) -> Result<(), ParameterError> {
        if !(2..=1_000_000).contains(&self.m) {
            return Err(ParameterError::new("m", self.m, "from 2 to 1000000"));
        }
        self.process().check()
    }
}

impl VePreconditioning {
    pub(super) fn coefficients<R: Real>(&self, sigma: R) -> Coefficients<R> {
        residual(sigma, 1.0, R::from(1.0), (sigma * 0.5).ln())
    }
}

impl IddpmPreconditioning {
    pub(super) fn coefficients<R: Real>(&self, sigma: R) -> Coefficients<R> {
        let step = self.m - 1 - self.levels().nearest(sigma.value());
        let c_in = sigma.hypot(R::from(1.0)).recip();
        residual(sigma, -1.0, c_in, R::from(step as f64))
    }

    pub(super) fn check(&self) -> Result<(), ParameterError> {
        self.levels().check()
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
    use crate::Preconditioning;

    const VP: Preconditioning = Preconditioning::Vp(VpPreconditioning {
        beta_d: 19.9,
        beta_min: 0.1,
        m: 1000,
        noise: NoiseLevel::Nominal,
    });
    const VE: Preconditioning = Preconditioning::Ve(VePreconditioning {
        noise: NoiseLevel::Nominal,
    });
    const IDDPM: Preconditioning = Preconditioning::Iddpm(IddpmPreconditioning {
        c_1: 0.001,
        c_2: 0.008,
        m: 1000,
        noise: NoiseLevel::Nominal,
    });

    #[test]
    fn networks_that_estimate_the_noise_have_their_published_scalings() {
        let root_five = 5.0_f64.sqrt();
        // VP at t = 0.5: sigma² = exp(19.9/8 + 0.05) - 1; iDDPM: checked against the levels elsewhere.
        let half = (2.5375_f64.exp() - 1.0).sqrt();
        for (name, preconditioning, sigma, want) in [
            ("VE", VE, 2.0, [1.0, 2.0, 1.0, 0.0, 0.25]),
            ("VE", VE, 0.2, [1.0, 0.2, 1.0, 0.1_f64.ln(), 25.0]),
            (
                "VP",
                VP,
                half,
                [
                    1.0,
                    -half,
                    (1.0 + half * half).sqrt().recip(),
                    499.5,
                    half.powi(-2),
                ],
            ),
            (
                "iDDPM",
                IDDPM,
                2.0,
                [1.0, -2.0, root_five.recip(), f64::NAN, 0.25],
            ),
        ] {
            let c = preconditioning.coefficients(sigma);
            let got = [c.c_skip, c.c_out, c.c_in, c.c_noise, c.weight];
            for (got, want) in got.into_iter().zip(want) {
                let close = want.is_nan() || (got - want).abs() <= 1e-10 * want.abs();
                assert!(close, "{name} at {sigma}: got {c:?}, want {want}");
            }
        }
    }

    #[test]
    fn the_step_of_improved_ddpm_counts_from_the_least_noise() {
        let at = |sigma| IDDPM.coefficients(sigma).c_noise;
        assert_eq!([at(1e9), at(0.0)], [999.0, 0.0]);
        // alpha_bar(500) = sin²(π/4 / 1.008): u² = alpha_bar(1000)/alpha_bar(500) - 1.
        let sine = |j: f64| (std::f64::consts::FRAC_PI_2 * j / 1008.0).sin();
        let u_500 = ((sine(1000.0) / sine(500.0)).powi(2) - 1.0).sqrt();
        assert_eq!(at(u_500), 499.0);
    }
}
