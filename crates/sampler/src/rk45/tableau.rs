//! The coefficients of the pair 5(4) of Dormand and Prince.

/// Positions of the stages 2 to 7 within the step.
pub(super) const C: [f64; 6] = [1.0 / 5.0, 3.0 / 10.0, 4.0 / 5.0, 8.0 / 9.0, 1.0, 1.0];

/// Weights of the earlier slopes in stages 2 to 7; the last row is the fifth-order solution.
pub(super) const A: [&[f64]; 6] = [
    &[1.0 / 5.0],
    &[3.0 / 40.0, 9.0 / 40.0],
    &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
    &[
        19372.0 / 6561.0,
        -25360.0 / 2187.0,
        64448.0 / 6561.0,
        -212.0 / 729.0,
    ],
    &[
        9017.0 / 3168.0,
        -355.0 / 33.0,
        46732.0 / 5247.0,
        49.0 / 176.0,
        -5103.0 / 18656.0,
    ],
    &[
        35.0 / 384.0,
        0.0,
        500.0 / 1113.0,
        125.0 / 192.0,
        -2187.0 / 6784.0,
        11.0 / 84.0,
    ],
];

/// The fifth-order weights less the fourth-order ones: the error of the step.
pub(super) const E: [f64; 7] = [
    71.0 / 57600.0,
    0.0,
    -71.0 / 16695.0,
    71.0 / 1920.0,
    -17253.0 / 339200.0,
    22.0 / 525.0,
    -1.0 / 40.0,
];

#[cfg(test)]
mod tests {
    use super::{A, C, E};

    #[test]
    fn every_stage_weighs_the_slopes_by_its_position() {
        for (row, want) in A.iter().zip(C) {
            let got: f64 = row.iter().sum();
            assert!((got - want).abs() < 1e-14, "got {got}, want {want}");
        }
    }

    #[test]
    fn the_solution_integrates_powers_to_the_fourth_and_the_error_those_to_the_third() {
        for power in 0..=4 {
            // Stage 1 stands at 0, where only the power 0 is not 0.
            let first = if power == 0 { 1.0 } else { 0.0 };
            let sum = |weights: &[f64]| {
                let rest = weights[1..].iter().zip(C).map(|(w, c)| w * c.powi(power));
                weights[0] * first + rest.sum::<f64>()
            };
            let (got, want) = (sum(A[5]), 1.0 / f64::from(power + 1));
            assert!(
                (got - want).abs() < 1e-14,
                "power {power}: got {got}, want {want}"
            );
            let error = sum(&E).abs();
            assert_eq!(error < 1e-14, power < 4, "power {power}: got error {error}");
        }
    }
}
