//! Laws of the noise level in training, p(sigma).

use rand::Rng;
use rand_distr::{Distribution, StandardNormal, StandardUniform};
use serde::{Deserialize, Serialize};

use crate::schedule::check_ends;
use crate::{IddpmLevels, ParameterError, VpProcess};

/// The law that training draws `sigma` from. It holds for every D: `r` follows by `sigma sqrt(D)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum NoiseLaw {
    /// `ln sigma ~ N(p_mean, p_std²)` (Karras et al. 2022, table 1: -1.2 and 1.2).
    LogNormal {
        /// Mean of `ln sigma`.
        p_mean: f64,
        /// Standard deviation of `ln sigma`.
        p_std: f64,
    },
    /// `sigma = sigma(t)` of the variance-preserving process, t uniform on `[eps_t, 1]` (table 1, VP:
    /// beta_d 19.9, beta_min 0.1, eps_t 1e-5).
    Vp {
        /// Rise of the rate of noising.
        beta_d: f64,
        /// Rate of noising at the start.
        beta_min: f64,
        /// The earliest time.
        eps_t: f64,
    },
    /// `ln sigma` uniform (table 1, VE: from 0.02 to 100).
    LogUniform {
        /// Lowest noise level.
        sigma_min: f64,
        /// Highest noise level.
        sigma_max: f64,
    },
    /// `sigma = u_j` of improved DDPM, j uniform on `0..m` (table 1, iDDPM: c_1 0.001, c_2 0.008, m 1000).
    Iddpm {
        /// Least part of the signal that a step keeps.
        c_1: f64,
        /// Offset of the cosine.
        c_2: f64,
        /// Number of levels.
        m: usize,
    },
}

impl NoiseLaw {
    /// `ln sigma ~ N(p_mean, p_std²)`.
    ///
    /// # Errors
    ///
    /// A mean or a deviation outside its range.
    pub fn log_normal(p_mean: f64, p_std: f64) -> Result<Self, ParameterError> {
        let law = Self::LogNormal { p_mean, p_std };
        law.check()?;
        Ok(law)
    }

    /// Checks the parameters.
    ///
    /// # Errors
    ///
    /// The first parameter outside its range, under the name of the law.
    pub fn check(&self) -> Result<(), ParameterError> {
        let (name, checked) = match *self {
            Self::LogNormal { p_mean, p_std } => ("log_normal", check_log_normal(p_mean, p_std)),
            Self::Vp {
                beta_d,
                beta_min,
                eps_t,
            } => {
                let process = VpProcess { beta_d, beta_min };
                let in_time = || ParameterError::within("eps_t", eps_t, 1e-9, 0.999);
                ("vp", process.check().and_then(|()| in_time()))
            }
            Self::LogUniform {
                sigma_min,
                sigma_max,
            } => ("log_uniform", check_ends(sigma_min, sigma_max)),
            Self::Iddpm { c_1, c_2, m } => ("iddpm", IddpmLevels { c_1, c_2, m }.check()),
        };
        checked.map_err(|e| e.under(name))
    }

    /// Draws one noise level.
    pub fn draw(&self, rng: &mut impl Rng) -> f64 {
        match *self {
            Self::LogNormal { p_mean, p_std } => {
                let normal: f64 = StandardNormal.sample(rng);
                (p_mean + p_std * normal).exp()
            }
            Self::Vp {
                beta_d,
                beta_min,
                eps_t,
            } => {
                let process = VpProcess { beta_d, beta_min };
                process.sigma(eps_t + (1.0 - eps_t) * uniform(rng))
            }
            Self::LogUniform {
                sigma_min,
                sigma_max,
            } => sigma_min * (sigma_max / sigma_min).powf(uniform(rng)),
            Self::Iddpm { c_1, c_2, m } => {
                let j = (uniform(rng) * m as f64) as usize;
                IddpmLevels { c_1, c_2, m }.level(j.min(m - 1))
            }
        }
    }
}

fn check_log_normal(p_mean: f64, p_std: f64) -> Result<(), ParameterError> {
    // ln sigma beyond these leaves the range of f32.
    ParameterError::within("p_mean", p_mean, -20.0, 20.0)?;
    ParameterError::within("p_std", p_std, 1e-6, 10.0)
}

/// A number uniform on `[0, 1)`.
fn uniform(rng: &mut impl Rng) -> f64 {
    StandardUniform.sample(rng)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn log_normal_draws_have_the_stated_mean_and_deviation() {
        let law = NoiseLaw::LogNormal {
            p_mean: -1.2,
            p_std: 1.2,
        };
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
        let n = 40_000;
        let logs: Vec<f64> = (0..n).map(|_| law.draw(&mut rng).ln()).collect();
        let mean = logs.iter().sum::<f64>() / f64::from(n);
        let std = (logs.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / f64::from(n)).sqrt();
        // Five standard errors: 5 * 1.2 / sqrt(40,000) = 0.03.
        assert!((mean + 1.2).abs() < 0.03, "got mean {mean}, want -1.2");
        assert!((std - 1.2).abs() < 0.03, "got deviation {std}, want 1.2");
    }

    /// Quantile levels and values of 40,000 draws.
    fn quantiles(law: &NoiseLaw) -> [(f64, f64); 3] {
        law.check().unwrap();
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
        let mut draws: Vec<f64> = (0..40_000).map(|_| law.draw(&mut rng)).collect();
        draws.sort_by(f64::total_cmp);
        [0.1, 0.5, 0.9].map(|p| (p, draws[(p * 40_000.0) as usize]))
    }

    #[test]
    fn other_laws_have_the_quantiles_of_their_uniform_variable() {
        let vp = NoiseLaw::Vp {
            beta_d: 19.9,
            beta_min: 0.1,
            eps_t: 1e-5,
        };
        let process = VpProcess {
            beta_d: 19.9,
            beta_min: 0.1,
        };
        let ve = NoiseLaw::LogUniform {
            sigma_min: 0.02,
            sigma_max: 100.0,
        };
        let iddpm = NoiseLaw::Iddpm {
            c_1: 0.001,
            c_2: 0.008,
            m: 1000,
        };
        let levels = IddpmLevels {
            c_1: 0.001,
            c_2: 0.008,
            m: 1000,
        };
        // Each law's uniform variable at a level, rising with the noise.
        let uniforms: [(NoiseLaw, &dyn Fn(f64) -> f64); 3] = [
            (vp, &|sigma| process.t(sigma)),
            (ve, &|sigma| (sigma / 0.02).ln() / 5000.0_f64.ln()),
            (iddpm, &|sigma| 1.0 - levels.nearest(sigma) as f64 / 1000.0),
        ];
        for (law, uniform) in uniforms {
            for (p, sigma) in quantiles(&law) {
                let got = uniform(sigma);
                // Five standard errors of a uniform quantile: 5 sqrt(0.25 / 40,000) = 0.0125.
                assert!((got - p).abs() < 0.0125, "{law:?}: got {got}, want {p}");
            }
        }
    }

    #[test]
    fn a_law_without_width_is_refused() {
        let law = NoiseLaw::LogNormal {
            p_mean: 0.0,
            p_std: 0.0,
        };
        let got = law.check().unwrap_err().to_string();
        assert_eq!(got, "log_normal.p_std must be from 0.000001 to 10, got 0");
    }
}
