//! Gauss-Legendre quadrature on one panel.

use std::sync::LazyLock;

/// Nodes per panel; 16 give 1e-16 on the panels that [`crate::log_radius`] chooses.
const NODES: usize = 16;

/// Nodes on (-1, 1) and their weights.
static RULE: LazyLock<[(f64, f64); NODES]> = LazyLock::new(|| {
    std::array::from_fn(|i| {
        // Newton's method on the Legendre polynomial from the classical estimate of its i-th root.
        let mut x = (std::f64::consts::PI * (i as f64 + 0.75) / (NODES as f64 + 0.5)).cos();
        let mut slope = 0.0;
        for _ in 0..8 {
            let (value, derivative) = legendre(x);
            slope = derivative;
            x -= value / derivative;
        }
        (x, 2.0 / ((1.0 - x * x) * slope * slope))
    })
});

/// The Legendre polynomial of degree [`NODES`] and its derivative, by the three-term recurrence.
fn legendre(x: f64) -> (f64, f64) {
    let (mut before, mut here) = (1.0, x);
    for k in 2..=NODES {
        let k = k as f64;
        (before, here) = (here, ((2.0 * k - 1.0) * x * here - (k - 1.0) * before) / k);
    }
    let derivative = NODES as f64 * (x * here - before) / (x * x - 1.0);
    (here, derivative)
}

/// The integral of `f` from `start` to `start + width`.
pub(crate) fn panel(start: f64, width: f64, f: impl Fn(f64) -> f64) -> f64 {
    let half = 0.5 * width;
    let sum: f64 = RULE
        .iter()
        .map(|(x, weight)| weight * f(start + half * (1.0 + x)))
        .sum();
    half * sum
}

#[cfg(test)]
mod tests {
    use super::{NODES, panel};

    #[test]
    fn polynomials_up_to_twice_the_nodes_are_exact() {
        for degree in 0..2 * NODES as i32 {
            let got = panel(0.0, 1.0, |x| x.powi(degree));
            let want = 1.0 / f64::from(degree + 1);
            assert!(
                (got - want).abs() < 1e-15,
                "degree {degree}: got {got}, want {want}"
            );
        }
    }
}
