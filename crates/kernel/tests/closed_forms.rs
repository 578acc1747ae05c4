//! The radius law where a closed form exists, and its limits.

use std::f64::consts::{FRAC_2_PI, LN_2, PI};

use pfgmpp_kernel::{Dimension, Kernel, RadiusLaw, ln_gamma_ratio};

fn law(n: usize, d: f64, sigma: f64) -> RadiusLaw {
    let d = Dimension::new(d).expect("positive d");
    let kernel = Kernel::new(n, d).expect("valid kernel");
    kernel.radius_law(sigma).expect("positive sigma")
}

fn close(case: &str, got: f64, want: f64, tolerance: f64) {
    let error = (got - want).abs();
    assert!(
        error <= tolerance * want.abs(),
        "{case}: got {got:e}, want {want:e}"
    );
}

/// Radii from far inside to far outside the bulk.
const RADII: [f64; 9] = [1e-100, 1e-9, 1e-3, 0.1, 0.9, 1.0, 3.0, 1e3, 1e9];

#[test]
fn cdf_of_two_dimensional_data_is_a_power() {
    // P(R > r) = (1 + r²/D)^(-D/2)
    for d in [1e-6, 0.01, 0.5, 1.0, 2.0, 7.3, 1e3, 1e6, 1e12, 1e15] {
        for r in RADII {
            let case = format!("n = 2, d = {d}, r = {r}");
            let exponent = -0.5 * d * (r * r / d).ln_1p();
            close(
                &case,
                law(2, d, 1.0).sf(r),
                exponent.exp(),
                2e-13 * (1.0 - exponent),
            );
            close(&case, law(2, d, 1.0).cdf(r), -exponent.exp_m1(), 1e-13);
        }
    }
}

#[test]
fn cdf_with_two_extra_coordinates_is_a_power() {
    // P(R <= r) = (r² / (r² + 2))^(N/2)
    for n in [1, 2, 5, 64, 3072, 1_000_000] {
        for r in RADII {
            let case = format!("n = {n}, d = 2, r = {r}");
            let exponent = -0.5 * n as f64 * (2.0 / (r * r)).ln_1p();
            close(
                &case,
                law(n, 2.0, 1.0).cdf(r),
                exponent.exp(),
                2e-13 * (1.0 - exponent),
            );
            close(&case, law(n, 2.0, 1.0).sf(r), -exponent.exp_m1(), 1e-13);
        }
    }
}

#[test]
fn cdf_on_a_line_with_one_extra_coordinate_is_an_arc_tangent() {
    for r in RADII {
        let law = law(1, 1.0, 2.0);
        close("cauchy cdf", law.cdf(2.0 * r), FRAC_2_PI * r.atan(), 1e-13);
        close(
            "cauchy sf",
            law.sf(2.0 * r),
            FRAC_2_PI * (1.0 / r).atan(),
            1e-13,
        );
    }
}

#[test]
fn quantiles_of_two_dimensional_data_are_closed_forms() {
    for d in [0.01_f64, 0.5, 1.0, 8.0, 1e6, 1e12] {
        for q in [1e-300, 1e-12, 1e-3, 0.3, 0.5, 0.7] {
            let case = format!("n = 2, d = {d}, q = {q}");
            // sqrt(D (q^(-2/D) - 1)), in an order that does not overflow before the result does.
            let power = (-f64::ln(q) / d).exp();
            let want = power * (-d * (2.0 / d * f64::ln(q)).exp_m1()).sqrt();
            let got = law(2, d, 1.0).upper_quantile(q);
            close(&case, got, want.min(f64::MAX), 1e-12);
        }
    }
}

#[test]
fn mean_has_its_closed_forms() {
    close(
        "n = 1, inf",
        law(1, f64::INFINITY, 3.0).mean(),
        3.0 * (2.0 / PI).sqrt(),
        1e-14,
    );
    close(
        "n = 2, inf",
        law(2, f64::INFINITY, 3.0).mean(),
        3.0 * (PI / 2.0).sqrt(),
        1e-14,
    );
    close(
        "n = 2, d = 2",
        law(2, 2.0, 1.0).mean(),
        PI / 2f64.sqrt(),
        1e-14,
    );
    // E[R] = sqrt(D) Γ(1) Γ((D-1)/2) / (Γ(1/2) Γ(D/2)) = 2/π sqrt(3) at N = 1, D = 3
    close(
        "n = 1, d = 3",
        law(1, 3.0, 1.0).mean(),
        2.0 * 3f64.sqrt() / PI,
        1e-14,
    );
    for d in [0.5, 1.0] {
        assert_eq!(law(7, d, 1.0).mean(), f64::INFINITY, "d = {d} has no mean");
    }
    let (near, limit) = (law(3072, 1e15, 1.0), law(3072, f64::INFINITY, 1.0));
    close("d = 1e15", near.mean(), limit.mean(), 1e-14);
}

#[test]
fn density_is_greatest_at_the_mode() {
    for n in [2, 3, 64, 196_608] {
        for d in [0.5, 1.0, 128.0, 1e12, f64::INFINITY] {
            let law = law(n, d, 0.7);
            let peak = law.ln_pdf(law.mode());
            for factor in [0.5, 0.999, 1.001, 2.0] {
                let beside = law.ln_pdf(law.mode() * factor);
                assert!(
                    beside < peak,
                    "n = {n}, d = {d}, {factor}: got {beside}, peak {peak}"
                );
            }
        }
    }
    assert_eq!(law(1, 3.0, 1.0).mode(), 0.0);
}

#[test]
fn density_is_the_derivative_of_the_cdf() {
    for (n, d) in [
        (1, 0.5),
        (2, 1.0),
        (64, 128.0),
        (3072, 1e6),
        (64, f64::INFINITY),
    ] {
        let law = law(n, d, 1.3);
        let r = law.quantile(0.3);
        let step = 1e-5 * r;
        let want = (law.cdf(r + step) - law.cdf(r - step)) / (2.0 * step);
        close(
            &format!("n = {n}, d = {d}"),
            law.ln_pdf(r).exp(),
            want,
            1e-4,
        );
    }
}

#[test]
fn radius_density_is_the_kernel_times_the_area_of_a_sphere() {
    // Areas of the unit sphere: 2, 2π, 4π; at radius zero only the line has a density.
    for (n, ln_area) in [(1, LN_2), (2, (2.0 * PI).ln()), (3, (4.0 * PI).ln())] {
        for d in [0.5, 1.0, 2048.0, 1e12, f64::INFINITY] {
            let kernel = Kernel::new(n, Dimension::new(d).expect("d")).expect("kernel");
            for r in [1e-9, 0.2, 1.0, 40.0] {
                let want = ln_area + (n - 1) as f64 * f64::ln(r) + kernel.ln_density(0.5, r);
                let got = law(n, d, 0.5).ln_pdf(r);
                assert!(
                    (got - want).abs() < 1e-12 * want.abs().max(1.0),
                    "n = {n}, d = {d}, r = {r}: got {got}, want {want}"
                );
            }
        }
    }
    let (got, want) = (law(1, 1.0, 1.0).ln_pdf(0.0), FRAC_2_PI.ln());
    assert!((got - want).abs() < 1e-14, "got {got}, want {want}");
    assert_eq!(law(2, 1.0, 1.0).ln_pdf(0.0), f64::NEG_INFINITY);
}

#[test]
fn radii_at_the_ends_have_the_probabilities_of_the_ends() {
    for (n, d) in [(1, 0.5), (64, 8.0), (3, f64::INFINITY)] {
        let law = law(n, d, 1.0);
        let got = [0.0, -1.0, f64::INFINITY].map(|r| (law.cdf(r), law.sf(r)));
        assert_eq!(
            got,
            [(0.0, 1.0), (0.0, 1.0), (1.0, 0.0)],
            "n = {n}, d = {d}"
        );
        let got = (law.quantile(0.0), law.quantile(1.0));
        assert_eq!(got, (0.0, f64::INFINITY), "n = {n}, d = {d}");
    }
}

#[test]
fn log_gamma_ratio_keeps_its_digits() {
    // Γ(x+3)/Γ(x) = x (x+1) (x+2)
    for x in [1e-300, 1e-9, 0.3, 1.0, 9.5, 10.0, 1e3, 5e11, 1e300] {
        let want = f64::ln(x) + f64::ln(x + 1.0) + f64::ln(x + 2.0);
        let got = ln_gamma_ratio(x, 3.0);
        assert!(
            (got - want).abs() < 1e-14 * want.abs().max(1.0),
            "x = {x}: got {got}, want {want}"
        );
    }
    close("sqrt(pi)", ln_gamma_ratio(0.5, 0.5), -0.5 * PI.ln(), 1e-14);
    assert_eq!(ln_gamma_ratio(7.0, 0.0), 0.0);
}
