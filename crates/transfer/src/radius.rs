//! The map between noise level and radius.

use pfgmpp_kernel::Dimension;

/// Radius of the D extra coordinates at noise level `sigma`; infinite at D = ∞, 0 at `sigma = 0`.
///
/// ```text
/// r = sigma sqrt(D)
/// ```
///
/// Source: Xu et al. 2023, section 4.
pub fn r_from_sigma(sigma: f64, d: Dimension) -> f64 {
    if sigma == 0.0 {
        // Without noise there is no radius either, at any D.
        return 0.0;
    }
    sigma * d.value().sqrt()
}

/// Noise level at radius `r`, the inverse of [`r_from_sigma`]; zero at D = ∞.
pub fn sigma_from_r(r: f64, d: Dimension) -> f64 {
    r / d.value().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sigma_and_r_are_inverse_for_every_finite_d() {
        for d in [0.5, 1.0, 8.0, 2048.0, 1e12] {
            let d = Dimension::Finite(d);
            let got = sigma_from_r(r_from_sigma(0.37, d), d);
            assert!((got - 0.37).abs() < 1e-15, "d {d}: got {got}, want 0.37");
        }
    }

    #[test]
    fn at_d_one_the_radius_is_sigma() {
        assert_eq!(r_from_sigma(2.5, Dimension::Finite(1.0)), 2.5);
    }

    #[test]
    fn in_the_diffusion_limit_the_radius_is_infinite_until_the_noise_is_gone() {
        let got = [2.5, 0.0].map(|sigma| r_from_sigma(sigma, Dimension::Infinite));
        assert_eq!(got, [f64::INFINITY, 0.0]);
    }
}
