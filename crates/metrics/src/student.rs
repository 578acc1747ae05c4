//! Student's t distribution: tails and quantiles.

use statrs::distribution::{Continuous, ContinuousCDF, StudentsT};

/// `P(|T| > |t|)` with `degrees` of freedom, at least 1.
pub(crate) fn two_sided(t: f64, degrees: usize) -> f64 {
    if t.is_infinite() {
        return 0.0;
    }
    2.0 * law(degrees).cdf(-t.abs())
}

/// The value that T lies below with probability `p`, in (0, 1).
///
/// By Newton's method on the distribution function: below 0 that is convex, so that each step from the right stays on the
/// right of the solution. The tails of the library's function are good to 1e-12, its own inverse is not.
pub(crate) fn quantile(p: f64, degrees: usize) -> f64 {
    let law = law(degrees);
    // The upper tail of 1 - p is the lower one of p, which loses no digits.
    let tail = p.min(1.0 - p);
    let mut lower = 0.0;
    for _ in 0..200 {
        let step = (law.cdf(lower) - tail) / law.pdf(lower);
        lower -= step;
        if step.abs() <= 1e-13 * f64::abs(lower) {
            break;
        }
    }
    if p < 0.5 { lower } else { -lower }
}

fn law(degrees: usize) -> StudentsT {
    StudentsT::new(0.0, 1.0, degrees.max(1) as f64).expect("a scale of 1 and at least 1 degree")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_and_tails_are_those_of_published_tables() {
        // NIST/SEMATECH e-Handbook of Statistical Methods, section 1.3.6.7.2, to three decimals.
        for (p, degrees, want) in [
            (0.975, 1, 12.706),
            (0.975, 2, 4.303),
            (0.975, 4, 2.776),
            (0.995, 4, 4.604),
            (0.90, 4, 1.533),
            (0.975, 100, 1.984),
        ] {
            let got = quantile(p, degrees);
            assert!(
                (got - want).abs() < 6e-4,
                "{p}, {degrees}: got {got}, want {want}"
            );
            let back = quantile(1.0 - p, degrees);
            assert!((back + got).abs() < 1e-9, "{p}: got {back}, want {}", -got);
            let tail = two_sided(got, degrees);
            let want = 2.0 * (1.0 - p);
            assert!((tail - want).abs() < 1e-10, "{p}: got {tail}, want {want}");
        }
        // One degree of freedom is the Cauchy law: its quantile is tan(pi (p - 1/2)).
        let want = (std::f64::consts::PI * 0.4999).tan();
        let got = quantile(0.9999, 1);
        assert!((got / want - 1.0).abs() < 1e-7, "got {got}, want {want}");
    }
}
