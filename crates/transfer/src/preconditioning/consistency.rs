//! The preconditioning of consistency models.

use serde::{Deserialize, Serialize};

use super::{Coefficients, NoiseLevel};
use crate::{ParameterError, Real};

/// The preconditioning of consistency models, whose output is no posterior mean: it is where the path of the ODE
/// that goes through `x` ends, and one step of Euler's method from `sigma_max` to 0 is their sampler.
///
/// ```text
/// c_skip   sd²/((sigma - sigma_min)² + sd²)
/// c_out    (sigma - sigma_min) sd / sqrt(sigma² + sd²)
/// c_in     1/sqrt(sigma² + sd²)
/// c_noise  250 ln(sigma)
/// weight   (sigma² + sd²)/(sigma sd)²
/// ```
///
/// At `sigma_min` the input is the output. Source: Song et al. 2023, arXiv:2303.01469, appendix C, with the scale of
/// `c_noise` that the published networks were trained with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsistencyPreconditioning {
    /// Assumed standard deviation of the data.
    pub sigma_data: f64,
    /// The level at which the network changes nothing.
    pub sigma_min: f64,
    /// Which noise level the coefficients are taken at.
    pub noise: NoiseLevel,
}

impl ConsistencyPreconditioning {
    pub(super) fn check(&self) -> Result<(), ParameterError> {
        ParameterError::within("sigma_data", self.sigma_data, 1e-4, 1e4)?;
        ParameterError::within("sigma_min", self.sigma_min, 1e-6, 1e2)
    }

    pub(super) fn coefficients<R: Real>(&self, sigma: R) -> Coefficients<R> {
        let sd = self.sigma_data;
        let (above, norm) = (sigma - self.sigma_min, sigma.hypot(R::from(sd)));
        Coefficients {
            c_skip: (R::from(sd) / above.hypot(R::from(sd))).powi(2),
            c_out: above / norm * sd,
            c_in: norm.recip(),
            c_noise: sigma.ln() * 250.0,
            weight: (norm / (sigma * sd)).powi(2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLISHED: ConsistencyPreconditioning = ConsistencyPreconditioning {
        sigma_data: 0.5,
        sigma_min: 0.002,
        noise: NoiseLevel::Nominal,
    };

    #[test]
    fn at_the_lowest_level_the_input_is_the_output() {
        let c = PUBLISHED.coefficients(0.002);
        assert_eq!([c.c_skip, c.c_out], [1.0, 0.0]);
    }

    #[test]
    fn far_above_it_the_scalings_are_those_of_edm() {
        let c = PUBLISHED.coefficients(80.0);
        let norm = 80.0_f64.hypot(0.5);
        for (got, want) in [
            (c.c_skip, (0.5 / norm).powi(2)),
            (c.c_out, 80.0 * 0.5 / norm),
            (c.c_in, 1.0 / norm),
            (c.c_noise, 1000.0 * 80.0_f64.ln() / 4.0),
        ] {
            assert!((got / want - 1.0).abs() < 1e-4, "got {got}, want {want}");
        }
    }
}
