//! The preconditioning of denoising diffusion models with discrete steps.

use serde::{Deserialize, Serialize};

use super::{Coefficients, NoiseLevel};
use crate::{BetaSchedule, DdpmLevels, ParameterError, Real};

/// What the network of a denoising diffusion model estimates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DdpmOutput {
    /// The noise.
    Epsilon,
    /// The clean data.
    Sample,
    /// `sqrt(alpha_bar) epsilon - sqrt(1 - alpha_bar) y` (Salimans and Ho 2022, arXiv:2202.00512).
    VPrediction,
}

/// The preconditioning of DDPM's discrete process, with its own table of noise levels.
///
/// With `alpha_bar = 1/(1 + sigma²)`:
///
/// ```text
///               c_skip       c_out                 c_in              c_noise
/// epsilon       1            -sigma                1/sqrt(1+sigma²)  step t(sigma)
/// sample        0            1                     the same          the same
/// v_prediction  1/(1+sigma²) -sigma/sqrt(1+sigma²) the same          the same
/// weight = 1/sigma² for epsilon, 1/c_out² for the others
/// ```
///
/// Source: Ho et al. 2020, arXiv:2006.11239; the time step as in [`DdpmLevels::step`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DdpmPreconditioning {
    /// How the rate of noising rises.
    pub beta: BetaSchedule,
    /// Number of steps.
    pub m: usize,
    /// What the network estimates.
    pub output: DdpmOutput,
    /// Which noise level the coefficients are taken at.
    pub noise: NoiseLevel,
}

impl DdpmPreconditioning {
    /// The noise levels of the steps.
    pub fn levels(&self) -> DdpmLevels {
        DdpmLevels {
            beta: self.beta.clone(),
            m: self.m,
        }
    }

    pub(super) fn check(&self) -> Result<(), ParameterError> {
        self.levels().check()
    }

    pub(super) fn coefficients<R: Real>(&self, sigma: R) -> Coefficients<R> {
        let c_in = sigma.hypot(R::from(1.0)).recip();
        let (c_skip, c_out) = match self.output {
            DdpmOutput::Epsilon => (R::from(1.0), -sigma),
            DdpmOutput::Sample => (R::from(0.0), R::from(1.0)),
            DdpmOutput::VPrediction => (c_in.powi(2), -sigma * c_in),
        };
        Coefficients {
            c_skip,
            c_out,
            c_in,
            c_noise: self.levels().step_of(sigma),
            weight: c_out.powi(-2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a network that knows everything would say gives back the data, whatever it estimates.
    #[test]
    fn a_perfect_network_gives_the_data_back() {
        let (y, epsilon) = (0.4_f64, -1.3_f64);
        for sigma in [0.02, 1.0, 30.0_f64] {
            let alpha_bar = 1.0 / (1.0 + sigma * sigma);
            let v = alpha_bar.sqrt() * epsilon - (1.0 - alpha_bar).sqrt() * y;
            for (output, said) in [
                (DdpmOutput::Epsilon, epsilon),
                (DdpmOutput::Sample, y),
                (DdpmOutput::VPrediction, v),
            ] {
                let c = of(output).coefficients(sigma);
                let x = y + sigma * epsilon;
                // The network's input is DDPM's own x_t.
                let x_t = alpha_bar.sqrt() * y + (1.0 - alpha_bar).sqrt() * epsilon;
                assert!(
                    (c.c_in * x - x_t).abs() < 1e-12,
                    "got {}, want {x_t}",
                    c.c_in * x
                );
                let got = c.c_skip * x + c.c_out * said;
                assert!((got - y).abs() < 1e-12, "{output:?}: got {got}, want {y}");
                assert!((c.weight * c.c_out.powi(2) - 1.0).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn the_noise_level_is_told_as_a_step() {
        let levels: Vec<f64> = of(DdpmOutput::Epsilon).levels().levels().collect();
        let got = of(DdpmOutput::Epsilon).coefficients(levels[250]).c_noise;
        assert!((got - 250.0).abs() < 1e-9, "got {got}, want 250");
    }

    fn of(output: DdpmOutput) -> DdpmPreconditioning {
        DdpmPreconditioning {
            beta: BetaSchedule::Linear {
                beta_start: 1e-4,
                beta_end: 0.02,
            },
            m: 1000,
            output,
            noise: NoiseLevel::Nominal,
        }
    }
}
