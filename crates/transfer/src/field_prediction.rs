//! Scalings of original PFGM: what its network is given, and how the field that it predicts becomes a denoiser.

use serde::{Deserialize, Serialize};

use crate::{ParameterError, Real};

/// The data are taken to lie within this many times `sigma_data sqrt(N)`, the norm that data of that standard
/// deviation have: far enough to touch no field of real data, near enough to keep a poor prediction finite.
const REACH: f64 = 10.0;

/// The largest gamma that is accepted, two thousand times the published one: targets vanish as gamma grows beyond the
/// norms of the field.
pub const MAX_GAMMA: f64 = 1e4;

/// How a network predicts the normalised field `v = -sqrt(N) Ê / (|Ê| + gamma)` of N data dimensions and z.
///
/// Source: Xu et al. 2022, arXiv:2209.11178, section 3 and appendix B.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldPrediction {
    /// Assumed standard deviation of the data.
    pub sigma_data: f64,
    /// Softens the normalisation next to the data, in units of the data; published 5.
    pub gamma: f64,
    /// Below this z the predicted z component gives way to one that follows from the others, in units of the data;
    /// published 5, 0 for never.
    pub z_exp: f64,
}

impl FieldPrediction {
    /// Checks the parameters.
    ///
    /// # Errors
    ///
    /// A `sigma_data` outside 1e-4 to 1e4, a gamma outside 1e-9 to [`MAX_GAMMA`], a `z_exp` outside 0 to 1e6.
    pub fn check(&self) -> Result<(), ParameterError> {
        ParameterError::within("sigma_data", self.sigma_data, 1e-4, 1e4)?;
        ParameterError::within("gamma", self.gamma, 1e-9, MAX_GAMMA)?;
        ParameterError::within("z_exp", self.z_exp, 0.0, 1e6)
    }

    /// Scale of the network's input, from the squared norm of all N values of x.
    ///
    /// ```text
    /// c_in = 1 / sqrt(sigma_data² + s²),   s² = (|x|² + z²) / (N + 1)
    /// ```
    ///
    /// However far out x is, the input has a mean square of at most `1 + 1/N`.
    pub fn c_in<R: Real>(&self, n: usize, x_norm_sq: R, z: R) -> R {
        let s_sq = (x_norm_sq + z * z) / (n as f64 + 1.0);
        (s_sq + self.sigma_data * self.sigma_data).sqrt().recip()
    }

    /// What the network is told about z: `ln(z) / 4`.
    pub fn c_noise<R: Real>(&self, z: R) -> R {
        z.ln() / 4.0
    }

    /// The factor that turns `v_x` into a denoiser: `denoised = x + factor v_x`.
    ///
    /// - `x_norm`, `v_x_norm`: norms over all N values.
    ///
    /// ```text
    /// factor = -z / v_z = (|Ê| + gamma) / sqrt(N)          where v_z is the exact field's
    /// z >= z_exp:  v_z as predicted
    /// z <  z_exp:  v_z = -sqrt(N) z / (q + gamma),   q = sqrt((gamma a/(1-a))² + z²),   a = |v_x| / sqrt(N)
    /// ```
    ///
    /// The second line takes `|Ê|` from `|v_x|`, exactly so as z vanishes. Both are kept within what data of
    /// norm `10 sigma_data sqrt(N)` or less allow, `gamma a/(1-a) <= |x| + 10 sigma_data sqrt(N)`: so the
    /// factor stays finite for an `a` of one or more and for a `v_z` of zero or of the wrong sign.
    pub fn factor<R: Real>(&self, n: usize, x_norm: R, z: R, v_x_norm: R, v_z: R) -> R {
        let (root, gamma) = ((n as f64).sqrt(), self.gamma);
        let farthest = x_norm + REACH * self.sigma_data * root;
        let factor = |distance: R| (distance.hypot(z) + gamma) / root;
        if z.value() >= self.z_exp {
            return if v_z.value() < 0.0 {
                (-z / v_z).min(factor(farthest))
            } else {
                factor(farthest)
            };
        }
        let a = v_x_norm / root;
        if a.value() < 1.0 {
            factor((a * gamma / (-a + 1.0)).min(farthest))
        } else {
            factor(farthest)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREDICTION: FieldPrediction = FieldPrediction {
        sigma_data: 0.5,
        gamma: 5.0,
        z_exp: 5.0,
    };

    #[test]
    fn inputs_are_bounded_however_far_out() {
        for x_norm in [0.0, 1.0, 5e3, 1e12] {
            for z in [1e-3, 1.0, 40.0] {
                let (n, square) = (3072, x_norm * x_norm);
                let got = square * PREDICTION.c_in(n, square, z).powi(2) / n as f64;
                assert!(
                    got <= (1.0 + 1.0 / n as f64) * (1.0 + 1e-12),
                    "|x| {x_norm}, z {z}: got mean square {got}, want at most 1 + 1/N"
                );
            }
        }
        let at_data = PREDICTION.c_in(3072, 0.0, 0.0);
        assert!((at_data - 2.0).abs() < 1e-12, "got {at_data}, want 2");
    }

    /// Norm of the exact `v_x`, and `v_z`, where the data are `distance` away.
    fn exact(n: usize, distance: f64, z: f64) -> (f64, f64) {
        let scale = (n as f64).sqrt() / (distance.hypot(z) + PREDICTION.gamma);
        (scale * distance, -scale * z)
    }

    #[test]
    fn the_predicted_z_component_gives_the_exact_factor() {
        for (distance, z) in [(0.0, 5.0), (3.0, 7.0), (2000.0, 40.0)] {
            let (v_x, v_z) = exact(64, distance, z);
            let got = PREDICTION.factor(64, distance, z, v_x, v_z);
            let want = (distance.hypot(z) + 5.0) / 8.0;
            assert!((got / want - 1.0).abs() < 1e-12, "got {got}, want {want}");
        }
    }

    #[test]
    fn the_derived_z_component_tends_to_the_exact_factor_as_z_vanishes() {
        let mut last = f64::INFINITY;
        for z in [1.0, 0.1, 0.01, 1e-3] {
            let (v_x, v_z) = exact(64, 2.0, z);
            let got = PREDICTION.factor(64, 2.0, z, v_x, -v_z);
            let want = (2f64.hypot(z) + 5.0) / 8.0;
            let error = (got / want - 1.0).abs();
            assert!(error < 0.02 * z, "z {z}: got {got}, want {want}");
            assert!(error < last, "z {z}: the error does not fall");
            last = error;
        }
    }

    #[test]
    fn factors_stay_within_reach_of_the_data_whatever_is_predicted() {
        for z in [1e-3, 1.0, 5.0, 40.0] {
            for v_x in [0.0, 7.9999, 8.0, 8.1, 1e6] {
                for v_z in [-1e9, -1e-30, 0.0, 1e-30, 3.0] {
                    let got = PREDICTION.factor(64, 10.0, z, v_x, v_z);
                    // |x| + 10 sigma_data sqrt(N) = 50.
                    let largest = (50f64.hypot(z) + 5.0) / 8.0;
                    assert!(
                        (0.0..=largest).contains(&got),
                        "z {z}, v_x {v_x}, v_z {v_z}: got {got}, want 0 to {largest}"
                    );
                }
            }
        }
    }

    #[test]
    fn parameters_outside_their_range_are_refused_by_name() {
        let refused = [
            ("sigma_data", 0.0, 5.0, 5.0),
            ("gamma", 0.5, 0.0, 5.0),
            ("z_exp", 0.5, 5.0, -1.0),
            ("z_exp", 0.5, 5.0, f64::NAN),
        ];
        for (name, sigma_data, gamma, z_exp) in refused {
            let prediction = FieldPrediction {
                sigma_data,
                gamma,
                z_exp,
            };
            let got = prediction.check().expect_err(name);
            assert_eq!(got.name, name);
        }
        assert_eq!(PREDICTION.check(), Ok(()));
    }
}
