//! The discrete noise levels of DDPM.

use std::f64::consts::FRAC_PI_2;

use serde::{Deserialize, Serialize};

use crate::{ParameterError, Real};

/// How the rate of noising rises over the steps of DDPM.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum BetaSchedule {
    /// Evenly from `beta_start` to `beta_end`. Published: 0.0001 to 0.02 in 1,000 steps.
    Linear {
        /// The first rate.
        beta_start: f64,
        /// The last rate.
        beta_end: f64,
    },
    /// The square root of the rate evenly.
    ScaledLinear {
        /// The first rate.
        beta_start: f64,
        /// The last rate.
        beta_end: f64,
    },
    /// The cosine schedule of improved DDPM, no rate above 0.999.
    SquaredcosCapV2,
    /// Along the logistic function of -6 to 6.
    Sigmoid {
        /// The rate that the schedule comes from.
        beta_start: f64,
        /// The rate that it goes to.
        beta_end: f64,
    },
    /// Each rate as it was trained with, one a step.
    Trained(Vec<f64>),
}

/// The noise levels `sigma_0 < sigma_1 < ... < sigma_(m-1)` of a denoising diffusion model.
///
/// ```text
/// sigma_t² = (1 - alpha_bar_t) / alpha_bar_t,   alpha_bar_t = (1 - beta_0) ... (1 - beta_t)
/// linear          beta_t = start + t/(m-1) (end - start)
/// scaled_linear   beta_t = (sqrt(start) + t/(m-1) (sqrt(end) - sqrt(start)))²
/// squaredcos      beta_t = min(1 - g((t+1)/m)/g(t/m), 0.999),   g(u) = cos²((u + 0.008)/1.008 π/2)
/// sigmoid         beta_t = start + (end - start) / (1 + exp(6 - 12 t/(m-1)))
/// ```
///
/// Source: Ho et al. 2020, arXiv:2006.11239; Nichol and Dhariwal 2021, arXiv:2102.09672; the middle one is that of
/// Rombach et al. 2022, arXiv:2112.10752. Names are those of diffusers' schedulers.
#[derive(Clone, Debug, PartialEq)]
pub struct DdpmLevels {
    /// How the rate of noising rises.
    pub beta: BetaSchedule,
    /// Number of steps.
    pub m: usize,
}

impl DdpmLevels {
    /// Checks the parameters.
    ///
    /// # Errors
    ///
    /// A rate outside 1e-9 to 0.999, a last rate below the first, fewer than 2 steps or more than 100,000, trained
    /// rates of another number than the steps.
    pub fn check(&self) -> Result<(), ParameterError> {
        if !(2..=100_000).contains(&self.m) {
            return Err(ParameterError::new("m", self.m, "from 2 to 100000"));
        }
        match &self.beta {
            BetaSchedule::SquaredcosCapV2 => Ok(()),
            BetaSchedule::Trained(betas) => {
                if betas.len() != self.m {
                    let accepted = format!("of m = {} rates", self.m);
                    let got = format!("{} rates", betas.len());
                    return Err(ParameterError::new("trained", got, accepted));
                }
                betas.iter().try_for_each(|&beta| {
                    ParameterError::within("a rate of trained", beta, 1e-9, 0.999)
                })
            }
            &BetaSchedule::Linear {
                beta_start,
                beta_end,
            }
            | &BetaSchedule::ScaledLinear {
                beta_start,
                beta_end,
            }
            | &BetaSchedule::Sigmoid {
                beta_start,
                beta_end,
            } => {
                ParameterError::within("beta_start", beta_start, 1e-9, 0.999)?;
                ParameterError::within("beta_end", beta_end, beta_start, 0.999)
            }
        }
    }

    /// The level `sigma_t` of every step, from the least noise.
    pub fn levels(&self) -> impl Iterator<Item = f64> + '_ {
        // sigma_t² = (sigma_(t-1)² + beta_t) / (1 - beta_t): nothing cancels where alpha_bar is near 1.
        let mut square = 0.0;
        (0..self.m).map(move |t| {
            let beta = self.rate(t);
            square = (square + beta) / (1.0 - beta);
            square.sqrt()
        })
    }

    /// The step at noise level `sigma`, between two steps in proportion to ln sigma; the first or the last
    /// beyond them.
    ///
    /// A network is trained at whole steps only; the embedding of a step is smooth, and so is what it learns of it.
    #[must_use]
    pub fn step(&self, sigma: f64) -> f64 {
        self.step_of(sigma)
    }

    /// As [`Self::step`], with derivatives where `sigma` carries them.
    pub(crate) fn step_of<R: Real>(&self, sigma: R) -> R {
        let mut below: Option<f64> = None;
        for (t, level) in self.levels().enumerate() {
            if level >= sigma.value() {
                let Some(below) = below else {
                    return R::from(0.0);
                };
                let share = (R::from(level) / sigma).ln() / (level / below).ln();
                return -share + t as f64;
            }
            below = Some(level);
        }
        R::from((self.m - 1) as f64)
    }

    /// The rate `beta_t`.
    fn rate(&self, t: usize) -> f64 {
        let at = |start: f64, end: f64| start + t as f64 / (self.m - 1) as f64 * (end - start);
        match &self.beta {
            &BetaSchedule::Linear {
                beta_start,
                beta_end,
            } => at(beta_start, beta_end),
            &BetaSchedule::ScaledLinear {
                beta_start,
                beta_end,
            } => at(beta_start.sqrt(), beta_end.sqrt()).powi(2),
            &BetaSchedule::Sigmoid {
                beta_start,
                beta_end,
            } => beta_start + (beta_end - beta_start) / (1.0 + (-at(-6.0, 6.0)).exp()),
            BetaSchedule::Trained(betas) => betas[t],
            BetaSchedule::SquaredcosCapV2 => {
                let g = |t: usize| {
                    let u = t as f64 / self.m as f64;
                    ((u + 0.008) / 1.008 * FRAC_PI_2).cos().powi(2)
                };
                (1.0 - g(t + 1) / g(t)).min(0.999)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLISHED: DdpmLevels = DdpmLevels {
        beta: BetaSchedule::Linear {
            beta_start: 1e-4,
            beta_end: 0.02,
        },
        m: 1000,
    };
    const SCALED: DdpmLevels = DdpmLevels {
        beta: BetaSchedule::ScaledLinear {
            beta_start: 8.5e-4,
            beta_end: 0.012,
        },
        m: 1000,
    };
    const COSINE: DdpmLevels = DdpmLevels {
        beta: BetaSchedule::SquaredcosCapV2,
        m: 1000,
    };
    const SIGMOID: DdpmLevels = DdpmLevels {
        beta: BetaSchedule::Sigmoid {
            beta_start: 1e-4,
            beta_end: 0.02,
        },
        m: 1000,
    };

    #[test]
    fn levels_are_those_of_the_product() {
        for levels in [PUBLISHED, SCALED, COSINE, SIGMOID] {
            let mut alpha_bar = 1.0;
            for (t, got) in levels.levels().enumerate() {
                alpha_bar *= 1.0 - levels.rate(t);
                let want = ((1.0 - alpha_bar) / alpha_bar).sqrt();
                assert!(
                    (got / want - 1.0).abs() < 1e-9,
                    "t {t}: got {got}, want {want}"
                );
            }
        }
    }

    // numpy: betas = linspace(1e-4, 0.02, 1000); a = cumprod(1 - betas); sqrt((1 - a) / a)[[0, 500, 999]], and alike.
    #[test]
    fn published_levels_are_known() {
        for (levels, want) in [
            (PUBLISHED, [1.000_050e-2, 3.442_967_11, 1.574_072_81e2]),
            (SCALED, [0.029_167_16, 1.618_278_83, 14.614_641_23]),
            (COSINE, [6.425_412_77e-3, 1.015_550_55, 2.029_116_96e4]),
            (SIGMOID, [1.221586945e-02, 1.531580564e+00, 1.587433687e+02]),
        ] {
            let all: Vec<f64> = levels.levels().collect();
            for (t, want) in [0, 500, 999].into_iter().zip(want) {
                let got = all[t];
                assert!(
                    (got / want - 1.0).abs() < 1e-6,
                    "t {t}: got {got}, want {want}"
                );
            }
        }
    }

    #[test]
    fn every_level_is_at_its_step_and_between_them_ln_sigma_decides() {
        for levels in [PUBLISHED, SCALED, COSINE, SIGMOID] {
            let all: Vec<f64> = levels.levels().collect();
            for t in [0, 1, 499, 998, 999] {
                let got = levels.step(all[t]);
                assert!((got - t as f64).abs() < 1e-9, "got {got}, want {t}");
            }
            let middle = (all[500] * all[501]).sqrt();
            let got = levels.step(middle);
            assert!((got - 500.5).abs() < 1e-9, "got {got}, want 500.5");
            assert_eq!([levels.step(0.0), levels.step(1e9)], [0.0, 999.0]);
        }
    }

    fn trained(betas: Vec<f64>, m: usize) -> DdpmLevels {
        DdpmLevels {
            beta: BetaSchedule::Trained(betas),
            m,
        }
    }

    #[test]
    fn trained_rates_are_taken_as_they_are() {
        let rates = (0..1000).map(|t| PUBLISHED.rate(t)).collect();
        let (got, want) = (trained(rates, 1000), PUBLISHED);
        assert!(got.levels().eq(want.levels()));
    }

    #[test]
    fn parameters_out_of_range_are_refused_by_name() {
        let linear = |beta_start, beta_end| DdpmLevels {
            beta: BetaSchedule::Linear {
                beta_start,
                beta_end,
            },
            m: 1000,
        };
        for (levels, want) in [
            (linear(0.0, 0.02), "beta_start"),
            (linear(0.02, 1e-4), "beta_end"),
            (linear(1e-4, 1.0), "beta_end"),
            (linear(1e-4, f64::NAN), "beta_end"),
            (DdpmLevels { m: 1, ..COSINE }, "m must be"),
            (
                trained(vec![0.1; 3], 4),
                "trained must be of m = 4 rates, got 3",
            ),
            (trained(vec![0.1, 1.0], 2), "a rate of trained must be"),
        ] {
            let got = levels.check().unwrap_err().to_string();
            assert!(got.starts_with(want), "got {got}, want {want}");
        }
    }
}
