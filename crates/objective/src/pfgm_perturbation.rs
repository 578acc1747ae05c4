//! The noise of original PFGM.

use candle_core::Tensor;
use pfgmpp_kernel::{SampleRng, beside, standard_normal};
use pfgmpp_transfer::ParameterError;
use rand_distr::{Distribution, StandardNormal, StandardUniform};
use serde::{Deserialize, Serialize};

use crate::FieldError;

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
    /// A scale that is not positive, a negative `restricted_z`, and a `restricted_m` outside [0, 1].
    pub fn check(&self) -> Result<(), ParameterError> {
        ParameterError::positive("tau", self.tau)?;
        ParameterError::positive("max_m", self.max_m)?;
        ParameterError::positive("sigma_end", self.sigma_end)?;
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
