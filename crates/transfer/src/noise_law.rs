//! Laws of the noise level in training, p(sigma).

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use crate::ParameterError;

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
}

impl NoiseLaw {
    /// Checks the parameters.
    ///
    /// # Errors
    ///
    /// A mean that is not finite or a standard deviation that is not positive.
    pub fn check(&self) -> Result<(), ParameterError> {
        match *self {
            Self::LogNormal { p_mean, p_std } => {
                // ln sigma beyond these leaves the range of f32.
                ParameterError::within("p_mean", p_mean, -20.0, 20.0)?;
                ParameterError::within("p_std", p_std, 1e-6, 10.0)
            }
        }
    }

    /// Draws one noise level.
    pub fn draw(&self, rng: &mut impl Rng) -> f64 {
        match *self {
            Self::LogNormal { p_mean, p_std } => {
                let normal: f64 = StandardNormal.sample(rng);
                (p_mean + p_std * normal).exp()
            }
        }
    }
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

    #[test]
    fn a_law_without_width_is_refused() {
        let law = NoiseLaw::LogNormal {
            p_mean: 0.0,
            p_std: 0.0,
        };
        let got = law.check().unwrap_err().to_string();
        assert_eq!(got, "p_std must be from 0.000001 to 10, got 0");
    }
}
