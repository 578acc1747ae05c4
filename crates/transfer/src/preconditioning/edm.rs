//! The preconditioning of EDM.

use serde::{Deserialize, Serialize};

use super::{Coefficients, NoiseLevel};
use crate::{ParameterError, Real};

/// The EDM preconditioning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdmPreconditioning {
    /// Assumed standard deviation of the data. In a configuration `measured` stands for that of the training data: not a
    /// number until it was measured ([`Preconditioning::with_sigma_data`](crate::Preconditioning::with_sigma_data)).
    #[serde(with = "super::measured")]
    pub sigma_data: f64,
    /// Which noise level the coefficients are taken at.
    pub noise: NoiseLevel,
}

impl EdmPreconditioning {
    pub(super) fn check(&self) -> Result<(), ParameterError> {
        ParameterError::within("sigma_data", self.sigma_data, 1e-4, 1e4)
    }

    pub(super) fn coefficients<R: Real>(&self, sigma: R) -> Coefficients<R> {
        let sd = self.sigma_data;
        // hypot: neither end of the range of sigma overflows or vanishes.
        let norm = sigma.hypot(R::from(sd));
        let c_out = sigma / norm * sd;
        Coefficients {
            c_skip: (R::from(sd) / norm).powi(2),
            c_out,
            c_in: norm.recip(),
            c_noise: sigma.ln() / 4.0,
            weight: c_out.powi(-2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Preconditioning;

    fn edm(sigma_data: f64) -> Preconditioning {
        Preconditioning::Edm(EdmPreconditioning {
            sigma_data,
            noise: NoiseLevel::Nominal,
        })
    }

    #[test]
    fn network_inputs_and_targets_have_unit_variance_at_every_sigma() {
        for sigma in [0.002, 0.1, 1.0, 80.0] {
            let (sd, c) = (0.5_f64, edm(0.5).coefficients(sigma));
            let input = c.c_in.powi(2) * (sd.powi(2) + sigma.powi(2));
            // Target of F: ((1 - c_skip) y - c_skip sigma eps) / c_out.
            let target = ((1.0 - c.c_skip) * sd).powi(2) + (c.c_skip * sigma).powi(2);
            let target = target / c.c_out.powi(2);
            assert!(
                (input - 1.0).abs() < 1e-12,
                "sigma {sigma}: got input {input}"
            );
            assert!(
                (target - 1.0).abs() < 1e-9,
                "sigma {sigma}: got target {target}"
            );
            assert!((c.weight * c.c_out.powi(2) - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn coefficients_stay_finite_at_both_ends_of_sigma() {
        for sigma in [1e-150, 1e150] {
            let c = edm(0.5).coefficients(sigma);
            for v in [c.c_skip, c.c_out, c.c_in, c.c_noise, c.weight] {
                assert!(v.is_finite(), "sigma {sigma}: got {c:?}");
            }
        }
    }
}
