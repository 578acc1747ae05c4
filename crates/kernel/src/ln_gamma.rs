//! Differences of log-gamma functions that keep their digits at every size of the arguments.
//!
//! `lnΓ(x + a) - lnΓ(x)` as a plain difference keeps no digit at x = 5e11 (D = 1e12). Splitting
//! Stirling's formula into its leading terms, which are subtracted by hand, and a small remainder
//! S, which is summed, keeps all of them. Formulas: DLMF 5.11.1 and 5.5.1.

/// From here on the Stirling series below is exact to 1e-17.
const SERIES_FROM: f64 = 10.0;

/// Coefficients of S(x) in 1/x, 1/x³, 1/x⁵, ...: `B_2k / (2k (2k - 1))`.
const STIRLING: [f64; 8] = [
    1.0 / 12.0,
    -1.0 / 360.0,
    1.0 / 1260.0,
    -1.0 / 1680.0,
    1.0 / 1188.0,
    -691.0 / 360_360.0,
    1.0 / 156.0,
    -3617.0 / 122_400.0,
];

/// `lnΓ(x + a) - lnΓ(x)` for positive finite `x` and `a >= 0`.
///
/// ```text
/// lnΓ(x+a) - lnΓ(x) = a ln x + ln_gamma_ratio_scaled(x, a)
/// ```
///
/// The error is a few units in the last place of the larger of the two terms.
#[must_use]
pub fn ln_gamma_ratio(x: f64, a: f64) -> f64 {
    a * x.ln() + ln_gamma_ratio_scaled(x, a)
}

/// `lnΓ(x + a) - lnΓ(x) - a ln x`, which goes to zero as `x` grows past `a²`.
///
/// ```text
/// (x + a - 1/2) ln(1 + a/x) - a + S(x+a) - S(x),   S the remainder of Stirling's formula
/// ```
pub(crate) fn ln_gamma_ratio_scaled(x: f64, a: f64) -> f64 {
    let remainder = stirling_remainder(x + a) - stirling_remainder(x);
    if a > x {
        return (x + a - 0.5) * ((x + a).ln() - x.ln()) - a + remainder;
    }
    // (1+t) ln(1+t) - t = (1+t) (ln(1+t) - t) + t²: no term is larger than the result's own order.
    let t = a / x;
    x * ((1.0 + t) * ln_1p_minus(t) + t * t) - 0.5 * t.ln_1p() + remainder
}

/// `S(x) = lnΓ(x) - ((x - 1/2) ln x - x + ln(2π)/2)` for positive `x`; zero at infinity.
pub(crate) fn stirling_remainder(x: f64) -> f64 {
    let mut shifted = x;
    let mut shift = 0.0;
    while shifted < SERIES_FROM {
        // S(x) - S(x+1) = (x + 1/2) ln(1 + 1/x) - 1, written so that no 1/x overflows.
        shift += (shifted + 0.5) * (shifted.ln_1p() - shifted.ln()) - 1.0;
        shifted += 1.0;
    }
    let inverse = 1.0 / shifted;
    let square = inverse * inverse;
    let series = STIRLING.iter().rev().fold(0.0, |sum, c| sum * square + c);
    shift + inverse * series
}

/// `ln(1 + t) - t` for `t > -1`, to full relative precision near zero.
///
/// ```text
/// u = t / (2 + t):   ln(1+t) - t = -t u + 2 (u³/3 + u⁵/5 + ...)
/// ```
pub(crate) fn ln_1p_minus(t: f64) -> f64 {
    // Beyond a quarter the plain difference loses less than three bits.
    if t.abs() > 0.25 {
        return t.ln_1p() - t;
    }
    let u = t / (2.0 + t);
    let square = u * u;
    // |u| <= 1/7: the ninth term is below 1e-17 of the first.
    let series = (0..9)
        .rev()
        .fold(0.0, |sum, k| sum * square + 1.0 / f64::from(2 * k + 3));
    2.0 * u * square * series - t * u
}
