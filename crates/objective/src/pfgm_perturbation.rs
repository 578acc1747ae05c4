//! The noise of original PFGM.

use candle_core::Tensor;
use pfgmpp_kernel::{SampleRng, beside, standard_normal};
use pfgmpp_transfer::ParameterError;
use rand_distr::{Distribution, StandardNormal, StandardUniform};
use serde::{Deserialize, Serialize};

use crate::FieldError;

/// The largest noise: samplers start from a radius of up to as much.
const LARGEST: f64 = 1e12;

/// The law of the points `(x, z)` where original PFGM learns the field.
///
/// ```text
/// x = y + |eps_x| (1+tau)^m u,   z = |eps_z| (1+tau)^m,   m ~ U[0, max_m],   eps ~ N(0, sigma_end² I)
/// m ~ U[0, restricted_m max_m]   where |eps_z| < restricted_z
/// ```
///
/// with `u` uniform on the sphere. The restriction keeps samples that begin next to the data from ending
/// far out at a tiny z. Published for CIFAR-10: tau 0.03, max_m 291, sigma_end 0.01, restricted_z 0.005,
/// restricted_m 0.7. Source: Xu et al. 2022, arXiv:2209.11178, section 3.2 and appendix B.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PfgmPerturbation {
    /// Growth of the noise per unit of m, less 1.
    pub tau: f64,
    /// Upper end M of the exponent m.
    pub max_m: f64,
    /// Standard deviation of the smallest noise, in units of the data.
    pub sigma_end: f64,
    /// `|eps_z|` below which m is restricted, in units of the data; 0 restricts nothing.
    pub restricted_z: f64,
    /// The part of `[0, max_m]` that a restricted m is drawn from, in [0, 1].
    pub restricted_m: f64,
}

impl PfgmPerturbation {
    /// Checks the parameters.
    ///
    /// # Errors
    ///
    /// Scales out of range, noise that grows beyond what `f32` and samplers know, a negative `restricted_z`, and a
    /// `restricted_m` outside [0, 1].
    pub fn check(&self) -> Result<(), ParameterError> {
        ParameterError::within("tau", self.tau, 1e-6, 1e3)?;
        ParameterError::within("max_m", self.max_m, 1e-3, 1e7)?;
        ParameterError::within("sigma_end", self.sigma_end, 1e-9, 1e4)?;
        let largest = self.sigma_end.ln() + self.max_m * self.tau.ln_1p();
        if largest > LARGEST.ln() {
            let accepted = format!(
                "so that sigma_end (1 + tau)^max_m is at most {LARGEST:e}: up to {:.1} here",
                (LARGEST / self.sigma_end).ln() / self.tau.ln_1p()
            );
            return Err(ParameterError::new("max_m", self.max_m, accepted));
        }
        if !(self.restricted_z >= 0.0 && self.restricted_z.is_finite()) {
            let accepted = "a finite number of at least 0";
            return Err(ParameterError::new(
                "restricted_z",
                self.restricted_z,
                accepted,
            ));
        }
        if !(0.0..=1.0).contains(&self.restricted_m) {
            let accepted = "a number in [0, 1]";
            return Err(ParameterError::new(
                "restricted_m",
                self.restricted_m,
                accepted,
            ));
        }
        Ok(())
    }

    /// Perturbs a batch `y` `[B, ...]`: returns `x`, shaped as `y`, and `z` `[B]`.
    ///
    /// Each generator of `rngs` gives m, then eps_z, then the N values of eps_x.
    ///
    /// # Errors
    ///
    /// [`FieldError`] for parameters outside their range, unlike lengths, a dtype other than `f32` and
    /// `f64`, and failures of the tensor backend.
    pub fn perturb(
        &self,
        y: &Tensor,
        rngs: &mut [SampleRng],
    ) -> Result<(Tensor, Vec<f64>), FieldError> {
        self.check()?;
        let (batch, got) = (y.dims().first().copied().unwrap_or(0), rngs.len());
        if batch != got {
            return Err(FieldError::BatchSize { batch, got });
        }
        let drawn: Vec<_> = rngs.iter_mut().map(|rng| self.draw_z(rng)).collect();
        let (z, scale): (Vec<f64>, Vec<f64>) = drawn.into_iter().unzip();
        // A Gaussian vector's direction is independent of its norm: |eps_x| u has the law of eps_x.
        let eps = standard_normal(&y.dims()[1..], rngs, y.dtype(), y.device())
            .map_err(candle_core::Error::from)?;
        let mut scale_shape = vec![1; y.rank()];
        scale_shape[0] = batch;
        let scale = beside(scale, scale_shape, y)?;
        Ok(((y + eps.broadcast_mul(&scale)?)?, z))
    }

    /// Draws z, and the standard deviation `sigma_end (1+tau)^m` of the noise in x.
    fn draw_z(&self, rng: &mut SampleRng) -> (f64, f64) {
        let uniform: f64 = StandardUniform.sample(rng);
        let normal: f64 = StandardNormal.sample(rng);
        let eps_z = self.sigma_end * normal.abs();
        let restricted = eps_z < self.restricted_z;
        let part = if restricted { self.restricted_m } else { 1.0 };
        let growth = (uniform * part * self.max_m * self.tau.ln_1p()).exp();
        (eps_z * growth, self.sigma_end * growth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_of_which_nothing_can_come_are_refused_by_name() {
        let published = PfgmPerturbation {
            tau: 0.03,
            max_m: 291.0,
            sigma_end: 0.01,
            restricted_z: 0.005,
            restricted_m: 0.7,
        };
        published.check().unwrap();
        let p = || published.clone();
        for (bad, name) in [
            (PfgmPerturbation { tau: 1e-300, ..p() }, "tau"),
            (PfgmPerturbation { tau: 1e30, ..p() }, "tau"),
            (
                PfgmPerturbation {
                    sigma_end: 1e30,
                    ..p()
                },
                "sigma_end",
            ),
            (
                PfgmPerturbation {
                    sigma_end: f64::NAN,
                    ..p()
                },
                "sigma_end",
            ),
            (PfgmPerturbation { max_m: 1e-9, ..p() }, "max_m"),
            (
                PfgmPerturbation {
                    max_m: 5000.0,
                    ..p()
                },
                "max_m",
            ),
        ] {
            let got = bad.check().unwrap_err();
            assert_eq!(got.name, name, "got {got}");
        }
        let error = PfgmPerturbation {
            max_m: 5000.0,
            ..p()
        }
        .check()
        .unwrap_err();
        // ln(1e12 / 0.01) / ln(1.03).
        assert!(
            error.to_string().contains("up to 1090.6 here"),
            "got {error}"
        );
    }
}
