//! Preconditioning: how a network's input, output and loss are scaled at each noise level.

use serde::{Deserialize, Serialize};

use crate::ParameterError;

/// The scalings of one sample.
///
/// ```text
/// denoised = c_skip x + c_out F(c_in x, c_noise),   loss = weight |denoised - y|²
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coefficients {
    /// Share of the input that skips the network.
    pub c_skip: f64,
    /// Scale of the network's output.
    pub c_out: f64,
    /// Scale of the network's input.
    pub c_in: f64,
    /// What the network is told about the noise level.
    pub c_noise: f64,
    /// Loss weight.
    pub weight: f64,
}

/// Which noise level the coefficients are taken at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoiseLevel {
    /// The nominal `sigma`, as published. At small D the network then meets inputs of unbounded scale.
    Nominal,
    /// The geometric posterior mean of the true noise scale given `|x|`
    /// ([`PosteriorNoise`](crate::PosteriorNoise)): inputs and weights stay bounded at every D; equal to
    /// `sigma` at D = ∞.
    Effective,
}

/// The EDM preconditioning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdmPreconditioning {
    /// Assumed standard deviation of the data.
    pub sigma_data: f64,
    /// Which noise level the coefficients are taken at.
    pub noise: NoiseLevel,
}

/// The family of scalings a model is trained with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preconditioning {
    /// Karras et al. 2022, table 1, column EDM.
    Edm(EdmPreconditioning),
}

impl Preconditioning {
    /// Checks the parameters.
    ///
    /// # Errors
    ///
    /// A `sigma_data` that is not positive.
    pub fn check(&self) -> Result<(), ParameterError> {
        match self {
            Self::Edm(edm) => ParameterError::within("sigma_data", edm.sigma_data, 1e-4, 1e4),
        }
    }

    /// Which noise level [`Self::coefficients`] is to be given.
    pub fn noise(&self) -> NoiseLevel {
        match self {
            Self::Edm(edm) => edm.noise,
        }
    }

    /// The scalings at noise level `sigma`.
    ///
    /// ```text
    /// c_skip = sd²/(sigma²+sd²)         c_in = 1/sqrt(sigma²+sd²)     weight = (sigma²+sd²)/(sigma sd)²
    /// c_out = sigma sd/sqrt(sigma²+sd²) c_noise = ln(sigma)/4
    /// ```
    pub fn coefficients(&self, sigma: f64) -> Coefficients {
        match self {
            Self::Edm(edm) => {
                let sd = edm.sigma_data;
                // hypot: neither end of the range of sigma overflows or vanishes.
                let norm = sigma.hypot(sd);
                let c_out = sigma / norm * sd;
                Coefficients {
                    c_skip: (sd / norm).powi(2),
                    c_out,
                    c_in: norm.recip(),
                    c_noise: sigma.ln() / 4.0,
                    weight: c_out.powi(-2),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
