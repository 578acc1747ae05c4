//! Quantiles of the mixture scale.

use crate::log_radius::{LogRadius, Side};
use crate::{Dimension, Kernel};

impl Kernel {
    /// The value below which the mixture scale sqrt(w), `w = D / chi²_D`, falls with probability `p`.
    ///
    /// It is the true noise scale of a sample in units of sigma: 1 at D = ∞ for every `p` in (0, 1).
    /// Returns 0 for `p <= 0` and infinity for `p >= 1`; quantiles beyond the range of f64 (D far below 1)
    /// are held within the positive normal numbers.
    ///
    /// ```text
    /// P(sqrt(w) <= q) = P(chi²_D / D >= 1/q²)
    /// ```
    #[must_use]
    pub fn mixture_scale_quantile(&self, p: f64) -> f64 {
        if p <= 0.0 {
            return 0.0;
        }
        if p >= 1.0 {
            return f64::INFINITY;
        }
        let Dimension::Finite(d) = self.d() else {
            return 1.0;
        };
        // chi²_D / D is the squared radius of D-dimensional data at D = ∞, over sigma² N.
        let law = LogRadius::new(d.max(1e-300), f64::INFINITY);
        let t = if p <= 0.5 {
            law.solve(p.ln(), Side::Right)
        } else {
            law.solve((1.0 - p).ln(), Side::Left)
        };
        (-t).exp().clamp(f64::MIN_POSITIVE, f64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantile(d: f64, p: f64) -> f64 {
        let kernel = Kernel::new(1, Dimension::new(d).unwrap()).unwrap();
        kernel.mixture_scale_quantile(p)
    }

    #[test]
    fn at_two_extra_coordinates_the_quantile_has_a_closed_form() {
        // chi²_2 is exponential: P(w <= q) = exp(-1/q).
        for p in [1e-12, 0.01, 0.3, 0.5, 0.7, 0.99, 1.0 - 1e-9] {
            let (got, want) = (quantile(2.0, p), (-1.0 / f64::ln(p)).sqrt());
            // Near p = 1 the last bit of p itself is worth 1e-16 / (1 - p).
            let tolerance = 1e-13 + 1e-15 / (1.0 - p);
            assert!(
                (got / want - 1.0).abs() < tolerance,
                "p {p}: got {got}, want {want}"
            );
        }
    }

    #[test]
    fn the_quantile_of_a_line_is_that_of_its_radius() {
        // chi²_1: the radius of one-dimensional data at D = ∞ is sqrt(chi²_1).
        let gaussian = Kernel::new(1, Dimension::Infinite).unwrap();
        let radius = gaussian.radius_law(1.0).unwrap();
        for p in [1e-6, 0.2, 0.5, 0.8, 0.999] {
            let (got, want) = (quantile(1.0, p), radius.upper_quantile(p).recip());
            assert!(
                (got / want - 1.0).abs() < 1e-12,
                "p {p}: got {got}, want {want}"
            );
        }
    }

    #[test]
    fn large_d_narrows_to_one() {
        for d in [1e8, 1e12] {
            // ln sqrt(w) has a deviation of 1 / sqrt(2 D); 99 % lies at 2.3263 deviations.
            let got = quantile(d, 0.99).ln() * (2.0 * d).sqrt();
            assert!((got - 2.3263).abs() < 1e-3, "d {d}: got {got}");
        }
        assert_eq!(quantile(f64::INFINITY, 0.99), 1.0);
    }

    #[test]
    fn the_ends_of_probability_are_the_ends_of_the_scale() {
        for d in [1e-310, 1e-6, 1.0, f64::INFINITY] {
            assert_eq!(
                [quantile(d, 0.0), quantile(d, 1.0)],
                [0.0, f64::INFINITY],
                "d {d}"
            );
            let inside = [1e-9, 0.5, 1.0 - 1e-9].map(|p| quantile(d, p));
            assert!(
                inside.iter().all(|q| q.is_normal() && *q > 0.0),
                "d {d}: got {inside:?}"
            );
        }
    }
}
