//! The kernel and its radius law against golden values of 50 and more digits.

use pfgmpp_kernel::{Dimension, Kernel};
use serde::Deserialize;

/// Written by an independent program with mpmath: N from 1 to 196608, D from 0.5 to 1e12 and inf.
const GOLDEN: &str = include_str!("data/kernel.json");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    n: usize,
    d: Dimension,
    sigma: f64,
    cdf: Vec<f64>,
    radius: Vec<f64>,
    ln_radius_pdf: Vec<f64>,
    ln_kernel: Vec<f64>,
}

/// Rows of the golden file, or of the file that `KERNEL_GOLDEN` names.
fn rows() -> Vec<Row> {
    let text = match std::env::var("KERNEL_GOLDEN") {
        Ok(path) => std::fs::read_to_string(path).expect("the file named by KERNEL_GOLDEN"),
        Err(_) => GOLDEN.to_owned(),
    };
    serde_json::from_str(&text).expect("golden rows")
}

/// Calls `check(row, index, name of the case)` for every golden value and returns the largest result.
fn worst(check: impl Fn(&Row, usize, &str) -> f64) -> f64 {
    let mut worst = 0.0_f64;
    for row in rows() {
        for i in 0..row.radius.len() {
            let case = format!("n = {}, d = {}, p = {}", row.n, row.d, row.cdf[i]);
            worst = worst.max(check(&row, i, &case));
        }
    }
    worst
}

fn kernel(row: &Row) -> Kernel {
    Kernel::new(row.n, row.d).expect("a valid golden row")
}

#[test]
fn every_golden_cdf_is_met() {
    let worst = worst(|row, i, case| {
        let law = kernel(row).radius_law(row.sigma).expect("valid sigma");
        let (got, want) = (law.cdf(row.radius[i]), row.cdf[i]);
        let error = (got - want).abs();
        assert!(error < 1e-10, "{case}: cdf got {got}, want {want}");
        assert!(error < 1e-8 * want, "{case}: cdf got {got}, want {want}");
        let got = law.sf(row.radius[i]);
        assert!(
            (got - (1.0 - want)).abs() < 1e-10,
            "{case}: sf got {got}, want {}",
            1.0 - want
        );
        error / want
    });
    println!("largest relative error of the cdf {worst:e}");
}

#[test]
fn every_golden_quantile_is_met() {
    let worst = worst(|row, i, case| {
        let law = kernel(row).radius_law(row.sigma).expect("valid sigma");
        let (got, want) = (law.quantile(row.cdf[i]), row.radius[i]);
        let error = (got / want - 1.0).abs();
        assert!(error < 1e-9, "{case}: quantile got {got}, want {want}");
        error
    });
    println!("largest relative error of the quantile {worst:e}");
}

#[test]
fn every_golden_radius_density_is_met() {
    let worst = worst(|row, i, case| {
        let law = kernel(row).radius_law(row.sigma).expect("valid sigma");
        let (got, want) = (law.ln_pdf(row.radius[i]), row.ln_radius_pdf[i]);
        let error = (got - want).abs();
        let bound = (1e-9 * want.abs()).max(1e-8);
        assert!(error < bound, "{case}: ln pdf got {got}, want {want}");
        error
    });
    println!("largest absolute error of the radius log density {worst:e}");
}

#[test]
fn every_golden_kernel_density_is_met() {
    let worst = worst(|row, i, case| {
        let (got, want) = (
            kernel(row).ln_density(row.sigma, row.radius[i]),
            row.ln_kernel[i],
        );
        let error = (got - want).abs();
        let bound = (1e-9 * want.abs()).max(1e-8);
        assert!(error < bound, "{case}: ln density got {got}, want {want}");
        error / want.abs().max(1.0)
    });
    println!("largest relative error of the kernel log density {worst:e}");
}

/// Written by `data/make_tails.py`: sigma = 1, up to 30 deviations from the mode, D from 0.001.
const TAILS: &str = include_str!("data/tails.json");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TailRow {
    n: usize,
    d: Dimension,
    radius: f64,
    cdf: f64,
    sf: f64,
    ln_pdf: f64,
}

#[test]
fn far_tails_keep_their_relative_precision() {
    let rows: Vec<TailRow> = serde_json::from_str(TAILS).expect("golden rows");
    let mut worst = 0.0_f64;
    for row in rows {
        let case = format!("n = {}, d = {}, radius = {}", row.n, row.d, row.radius);
        let kernel = Kernel::new(row.n, row.d).expect("a valid golden row");
        let law = kernel.radius_law(1.0).expect("valid sigma");
        // A radius rounded to f64 moves the tail by |d ln p / d ln R| of its last bit.
        let tolerance = 1e-11 + 4e-16 * row.ln_pdf.abs();
        for (name, got, want) in [
            ("cdf", law.cdf(row.radius), row.cdf),
            ("sf", law.sf(row.radius), row.sf),
            ("pdf", law.ln_pdf(row.radius).exp(), row.ln_pdf.exp()),
        ] {
            let error = (got - want).abs();
            // Below the normal numbers there is no relative precision to keep.
            let bound = tolerance * want + f64::MIN_POSITIVE;
            assert!(error <= bound, "{case}: {name} got {got:e}, want {want:e}");
            worst = worst.max(error / want.max(f64::MIN_POSITIVE));
        }
    }
    println!("largest relative error in the tails {worst:e}");
}
