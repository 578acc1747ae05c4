//! Preconditioning: how a network's input, output and loss are scaled at each noise level.

mod consistency;
mod ddpm;
mod edm;
mod measured;
mod residual;

use serde::{Deserialize, Serialize};

use crate::{ParameterError, Real};
pub use consistency::ConsistencyPreconditioning;
pub use ddpm::{DdpmOutput, DdpmPreconditioning};
pub use edm::EdmPreconditioning;
pub use residual::{IddpmPreconditioning, VePreconditioning, VpPreconditioning};

/// The scalings of one sample.
///
/// ```text
/// denoised = c_skip x + c_out F(c_in x, c_noise),   loss = weight |denoised - y|²
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coefficients<R = f64> {
    /// Share of the input that skips the network.
    pub c_skip: R,
    /// Scale of the network's output.
    pub c_out: R,
    /// Scale of the network's input.
    pub c_in: R,
    /// What the network is told about the noise level.
    pub c_noise: R,
    /// Loss weight.
    pub weight: R,
}

impl<R: Real> Coefficients<R> {
    /// The numbers, without derivatives.
    pub fn values(&self) -> Coefficients {
        Coefficients {
            c_skip: self.c_skip.value(),
            c_out: self.c_out.value(),
            c_in: self.c_in.value(),
            c_noise: self.c_noise.value(),
            weight: self.weight.value(),
        }
    }
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
    /// Averages over the posterior of the true noise scale
    /// ([`PosteriorNoise::coefficients`](crate::PosteriorNoise::coefficients)): as `Effective` where `|x|` tells
    /// the scale, steadier where it does not.
    Posterior,
}

/// The family of scalings a model is trained with (Karras et al. 2022, table 1, and DDPM's own).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preconditioning {
    /// Column EDM.
    Edm(EdmPreconditioning),
    /// Column VP: the network estimates the noise, in steps of time.
    Vp(VpPreconditioning),
    /// Column VE: the network sees noisy data as they are.
    Ve(VePreconditioning),
    /// Column iDDPM: the network estimates the noise, at the nearest of m levels.
    Iddpm(IddpmPreconditioning),
    /// DDPM in its discrete steps: the network estimates the noise, the data, or a mixture of both.
    Ddpm(DdpmPreconditioning),
    /// A consistency model: the network estimates where the path of the ODE ends.
    Consistency(ConsistencyPreconditioning),
}

impl Preconditioning {
    /// Whether `sigma_data` is still to be measured on the training data (`sigma_data: measured`).
    #[must_use]
    pub fn is_to_be_measured(&self) -> bool {
        matches!(self, Self::Edm(edm) if edm.sigma_data.is_nan())
    }

    /// The same for data of this standard deviation, where it was to be measured.
    #[must_use]
    pub fn with_sigma_data(mut self, sigma_data: f64) -> Self {
        if let Self::Edm(edm) = &mut self
            && edm.sigma_data.is_nan()
        {
            edm.sigma_data = sigma_data;
        }
        self
    }

    /// Checks the parameters.
    ///
    /// # Errors
    ///
    /// The first parameter outside its range, under the name of the family.
    pub fn check(&self) -> Result<(), ParameterError> {
        match self {
            Self::Edm(edm) => edm.check().map_err(|e| e.under("edm")),
            Self::Vp(vp) => vp.check().map_err(|e| e.under("vp")),
            Self::Ve(_) => Ok(()),
            Self::Iddpm(iddpm) => iddpm.check().map_err(|e| e.under("iddpm")),
            Self::Ddpm(ddpm) => ddpm.check().map_err(|e| e.under("ddpm")),
            Self::Consistency(consistency) => {
                consistency.check().map_err(|e| e.under("consistency"))
            }
        }
    }

    /// Which noise level [`Self::coefficients`] is to be given.
    pub fn noise(&self) -> NoiseLevel {
        match self {
            Self::Edm(edm) => edm.noise,
            Self::Vp(vp) => vp.noise,
            Self::Ve(ve) => ve.noise,
            Self::Iddpm(iddpm) => iddpm.noise,
            Self::Ddpm(ddpm) => ddpm.noise,
            Self::Consistency(consistency) => consistency.noise,
        }
    }

    /// The scalings at noise level `sigma`, with `sd` for `sigma_data`.
    ///
    /// ```text
    ///         c_skip         c_out                    c_in               c_noise                  weight
    /// EDM     sd²/(σ²+sd²)   σ sd/sqrt(σ²+sd²)        1/sqrt(σ²+sd²)     ln(σ)/4                  (σ²+sd²)/(σ sd)²
    /// VP      1              -σ                       1/sqrt(σ²+1)       (m-1) t(σ)               1/σ²
    /// VE      1              σ                        1                  ln(σ/2)                  1/σ²
    /// iDDPM   1              -σ                       1/sqrt(σ²+1)       m-1 - argmin |u_j - σ|   1/σ²
    /// DDPM    1              -σ                       1/sqrt(σ²+1)       step t(σ)                1/σ²
    /// ```
    ///
    /// DDPM's row is that of a network that estimates the noise; [`DdpmPreconditioning`] has the others,
    /// and [`ConsistencyPreconditioning`] its own.
    pub fn coefficients(&self, sigma: f64) -> Coefficients {
        self.coefficients_of(sigma)
    }

    /// As [`Self::coefficients`], with derivatives where `sigma` carries them.
    ///
    /// iDDPM's c_noise is the number of the nearest of m levels: constant but for jumps between two of them, so that
    /// its derivative is 0. DDPM's step is linear in ln sigma between two levels, constant beyond the last.
    pub fn coefficients_of<R: Real>(&self, sigma: R) -> Coefficients<R> {
        match self {
            Self::Edm(edm) => edm.coefficients(sigma),
            Self::Vp(vp) => vp.coefficients(sigma),
            Self::Ve(ve) => ve.coefficients(sigma),
            Self::Iddpm(iddpm) => iddpm.coefficients(sigma),
            Self::Ddpm(ddpm) => ddpm.coefficients(sigma),
            Self::Consistency(consistency) => consistency.coefficients(sigma),
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
    fn scalings_out_of_range_are_refused_by_name() {
        let vp = |beta_d, m| {
            Preconditioning::Vp(VpPreconditioning {
                beta_d,
                beta_min: 0.1,
                m,
                noise: NoiseLevel::Nominal,
            })
        };
        for (preconditioning, want) in [
            (
                vp(0.0, 1000),
                "vp.beta_d must be from 0.000001 to 100, got 0",
            ),
            (vp(19.9, 1), "vp.m must be from 2 to 1000000, got 1"),
            (
                edm(0.0),
                "edm.sigma_data must be from 0.0001 to 10000, got 0",
            ),
        ] {
            assert_eq!(preconditioning.check().unwrap_err().to_string(), want);
        }
    }
}
