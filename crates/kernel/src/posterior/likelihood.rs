//! How likely one point of the data is beside another, given the perturbed sample.

use crate::Dimension;

/// Above this D the Student-t weights are those of the Gaussian to the last bit wherever
/// `|x-y|² < 1e80 sigma²`, while `D sigma²` may be beyond f64.
const GAUSSIAN_FROM: f64 = 1e100;

/// The weights of all points for one sample, `x` and `sigma` fixed.
///
/// A point enters by its excess `a = |y|² - 2 x·y`, the part of `|x-y|² = |x|² + a` that differs
/// between points: without the common `|x|²` nothing cancels, and nothing overflows at extreme `x`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Likelihood {
    /// D = ∞: `ln w = -a / (2 sigma²)`.
    Gaussian { two_variance: f64 },
    /// Finite D: `ln w = -(N+D)/2 ln(base + a)` with `base = D sigma² + |x|²`.
    StudentT { exponent: f64, base: f64 },
}

impl Likelihood {
    /// The weights at `sigma` for a sample of squared norm `square`.
    ///
    /// Sums are held finite, so that no quotient of infinities arises from them.
    pub fn new(n: usize, d: Dimension, sigma: f64, square: f64) -> Self {
        match d {
            Dimension::Finite(d) if d < GAUSSIAN_FROM => Self::StudentT {
                exponent: 0.5 * (n as f64 + d),
                base: (d * sigma * sigma + square).min(f64::MAX),
            },
            _ => Self::Gaussian {
                two_variance: (2.0 * sigma * sigma).min(f64::MAX),
            },
        }
    }

    /// `ln(w(a) / w(nearest))` of a point that is not nearer than `nearest`: at most 0, `-∞` included.
    ///
    /// ```text
    /// -(N+D)/2 ln((base + a) / (base + nearest)) = -(N+D)/2 ln(1 + (a - nearest) / (base + nearest))
    /// ```
    pub fn ln_ratio(self, a: f64, nearest: f64) -> f64 {
        let excess = a - nearest;
        // Equal distances have equal weights, also where sigma = 0 makes both infinite.
        if excess <= 0.0 {
            return 0.0;
        }
        match self {
            Self::Gaussian { two_variance } => -excess / two_variance,
            Self::StudentT { exponent, base } => {
                // The squared distance of the nearest point, which rounding may make negative.
                -exponent * (excess / (base + nearest).max(0.0)).ln_1p()
            }
        }
    }

    /// `E[1/s² | x, y]` of the nearest point, s the true scale of the noise: the largest of all points'.
    ///
    /// ```text
    /// (N+D) / (|x-y|² + D sigma²),   1/sigma² at D = ∞
    /// ```
    ///
    /// It is what a step of x towards a point gains in ln w, `d ln w/dx = (y - x) E[1/s²|x,y]`.
    pub fn precision(self, nearest: f64) -> f64 {
        match self {
            Self::Gaussian { two_variance } => 2.0 / two_variance,
            Self::StudentT { exponent, base } => 2.0 * exponent / (base + nearest).max(0.0),
        }
    }

    /// What the precision of a point lacks of the nearest one's, as a share of it: from 0 to 1, 0 at D = ∞.
    ///
    /// ```text
    /// (a - nearest) / (base + a)
    /// ```
    pub fn lack(self, a: f64, nearest: f64) -> f64 {
        let excess = a - nearest;
        match self {
            Self::StudentT { base, .. } if excess > 0.0 => {
                let ratio = excess / (base + nearest).max(0.0);
                if ratio.is_finite() {
                    ratio / (1.0 + ratio)
                } else {
                    1.0
                }
            }
            _ => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_follow_the_kernel() {
        // x = 3, y = 1 and 5.5: squared distances 4 and 6.25, excesses 4 - 9 and 6.25 - 9.
        for d in [0.5, 1.0, 7.0, 1e12, 1e90, f64::INFINITY] {
            let (n, sigma) = (1, 0.7);
            let dimension = Dimension::new(d).unwrap();
            let got = Likelihood::new(n, dimension, sigma, 9.0).ln_ratio(-2.75, -5.0);
            let ln_w = |square: f64| match dimension {
                Dimension::Finite(d) => -0.5 * (1.0 + d) * (square / (d * sigma * sigma)).ln_1p(),
                Dimension::Infinite => -square / (2.0 * sigma * sigma),
            };
            let want = ln_w(6.25) - ln_w(4.0);
            let error = ((got - want) / want).abs();
            assert!(error < 1e-12, "d {d}: got {got}, want {want}");
        }
    }

    #[test]
    fn without_noise_the_nearest_point_takes_all() {
        for d in [0.5, 1.0, f64::INFINITY] {
            // x = 1 stands on the nearest point.
            let law = Likelihood::new(1, Dimension::new(d).unwrap(), 0.0, 1.0);
            let got = [law.ln_ratio(-1.0, -1.0), law.ln_ratio(-0.9, -1.0)];
            assert_eq!(got, [0.0, f64::NEG_INFINITY], "d {d}");
        }
    }
}
