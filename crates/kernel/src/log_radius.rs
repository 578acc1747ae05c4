//! The law of the logarithm of the radius, which is the logarithm of an F variate.
//!
//! With `s = ln(R / (sigma sqrt(N)))` the density of s is log-concave with its mode at s = 0 for
//! every N and D, and exchanging N and D reflects it. Its shape is computed without cancellation, and
//! its tails are integrated numerically: one method for every N and D, with no regions to join.
//! Derivations: `docs/kernel.md`.

use std::f64::consts::PI;

use crate::ln_gamma::{ln_1p_minus, stirling_remainder};
use crate::quadrature::panel;

/// Panels near a bend of h: its singularities stand at π/2 from the real axis.
const NEAR_BEND: f64 = 1.5;
/// The fall of h over one panel.
const FALL: f64 = 10.0;
/// A fall of h after which the rest of the tail is below 1e-17 of the whole.
const NEGLIGIBLE: f64 = 40.0;
/// More than any law needs (a thousand doublings cross the whole range of f64).
const MAX_PANELS: usize = 4096;

/// A side of the distribution, in the coordinate t of [`LogRadius`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

impl Side {
    /// The sign of the direction away from the mode.
    pub(crate) fn outwards(self) -> f64 {
        match self {
            Self::Left => -1.0,
            Self::Right => 1.0,
        }
    }

    pub(crate) fn opposite(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }
}

/// The law of t, which is s where N <= D and -s where D < N, with the density
///
/// ```text
/// exp(ln_peak + h(t)),   h(t) = few t - (few + many)/2 ln(1 + p (e^(2t) - 1)),   p = few/(few + many)
/// ```
#[derive(Clone, Debug)]
pub(crate) struct LogRadius {
    /// The smaller of N and D.
    few: f64,
    /// The larger of N and D; may be infinite.
    many: f64,
    /// `few / (few + many)`, at most 1/2.
    p: f64,
    ln_peak: f64,
    /// Whether t is -s.
    reflected: bool,
}

impl LogRadius {
    /// `n` positive and finite, `d` positive and perhaps infinite.
    pub(crate) fn new(n: f64, d: f64) -> Self {
        let (few, many) = (n.min(d), n.max(d));
        let (a, b) = (few / 2.0, many / 2.0);
        // The powers and gammas of the Beta function in Stirling's form: what is large cancels by hand.
        let ln_peak = 0.5 * (2.0 * a / (1.0 + a / b) / PI).ln() + stirling_remainder(a + b)
            - stirling_remainder(a)
            - stirling_remainder(b);
        Self {
            few,
            many,
            p: few / (few + many),
            ln_peak,
            reflected: d < n,
        }
    }

    /// t at s, and s at t.
    pub(crate) fn reflect(&self, s: f64) -> f64 {
        if self.reflected { -s } else { s }
    }

    /// The side of t where R is small.
    pub(crate) fn lower(&self) -> Side {
        if self.reflected {
            Side::Right
        } else {
            Side::Left
        }
    }

    /// ln of the density of t.
    pub(crate) fn ln_pdf(&self, t: f64) -> f64 {
        self.ln_peak + self.h(t)
    }

    /// ln of the density relative to its peak, `-∞` where it leaves the range of f64.
    fn h(&self, t: f64) -> f64 {
        let m = (2.0 * t).exp_m1();
        if (-0.5..1.0).contains(&m) {
            let many = self.excess(m);
            return 0.5 * (self.few * ln_1p_minus(m) - many);
        }
        if self.many.is_infinite() {
            return self.few * (t - 0.5 * m);
        }
        let ln_1p_pm = if m.is_finite() {
            (self.p * m).ln_1p()
        } else {
            // e^(2t) is beyond f64: ln(q + p e^(2t)) with q in [1/2, 1], too small to be seen or all there is.
            let ln_pm = self.p.ln() + 2.0 * t;
            ln_pm.max(0.0) + (-ln_pm.abs()).exp().ln_1p()
        };
        self.few * t - 0.5 * (self.few + self.many) * ln_1p_pm
    }

    /// `(few + many) (ln(1 + p m) - p m)`, zero where `many` is infinite.
    fn excess(&self, m: f64) -> f64 {
        if self.many.is_infinite() {
            return 0.0;
        }
        (self.few + self.many) * ln_1p_minus(self.p * m)
    }

    /// |dh/dt| and |d²h/dt²|.
    ///
    /// ```text
    /// few |1 - e^(2t)| / bend,   2 few (1 + few/many) e^(2t) / bend²,   bend = 1 + (few/many) e^(2t)
    /// ```
    fn slope_and_curvature(&self, t: f64) -> (f64, f64) {
        let ratio = self.few / self.many;
        let e = (-2.0 * t.abs()).exp();
        // On the right both fractions are divided through by e^(2t), so that nothing overflows.
        let bend = if t > 0.0 { e + ratio } else { 1.0 + ratio * e };
        let steepest = self.few / bend;
        (
            steepest * (1.0 - e),
            2.0 * (1.0 + ratio) * steepest * (e / bend),
        )
    }

    /// ln of the probability on one side of `t`, to full relative precision on either side.
    pub(crate) fn ln_mass(&self, t: f64, side: Side) -> f64 {
        if t * side.outwards() >= 0.0 {
            return self.ln_outer_mass(t, side);
        }
        let other = self.ln_outer_mass(t, side.opposite()).exp();
        if other <= 0.5 {
            return (-other).ln_1p();
        }
        // Most of the mass is beyond t although t is past the mode: few is far below 1.
        let start = self.ln_outer_mass(0.0, side);
        let middle = self.ln_peak + self.march(0.0, side.opposite(), t.abs()).ln();
        let (low, high) = (start.min(middle), start.max(middle));
        (high + (low - high).exp().ln_1p()).min(0.0)
    }

    /// ln of the probability beyond `t`, for `t` on its own side of the mode.
    fn ln_outer_mass(&self, t: f64, side: Side) -> f64 {
        let ln_pdf = self.ln_pdf(t);
        if ln_pdf == f64::NEG_INFINITY {
            return ln_pdf;
        }
        let (slope, curvature) = self.slope_and_curvature(t);
        // Here ∫ exp(-slope x - curvature x²/2) dx is 1/slope to the last digit.
        let ln_width = if slope * slope > 1e17 * curvature && slope > 1e3 {
            -slope.ln()
        } else {
            self.march(t, side, f64::INFINITY).ln()
        };
        (ln_pdf + ln_width).min(0.0)
    }

    /// `∫ exp(h(t) - h(from)) dt` from `from` outwards over a length of at most `length`.
    ///
    /// Panels start at the local scale of h and double; each stays within the reach of the nearest
    /// bend of h and over a fall of h by at most [`FALL`], which 16 nodes integrate to 1e-16.
    fn march(&self, from: f64, side: Side, length: f64) -> f64 {
        let t = |x: f64| from + side.outwards() * x;
        let h_from = self.h(from);
        let fallen = |x: f64| h_from - self.h(t(x));
        let (slope, curvature) = self.slope_and_curvature(from);
        let mut width = 1.0 / (slope + curvature.sqrt());
        let (mut x, mut fallen_here, mut total) = (0.0, 0.0, 0.0);
        for _ in 0..MAX_PANELS {
            width = width.min(self.reach(t(x), side)).min(length - x);
            while fallen(x + width) - fallen_here > FALL {
                width *= 0.5;
            }
            total += panel(x, width, |x| (-fallen(x)).exp());
            x += width;
            fallen_here = fallen(x);
            if fallen_here > NEGLIGIBLE || x >= length {
                break;
            }
            width *= 2.0;
        }
        total
    }

    /// The widest panel that starts at `t` and goes to `side`.
    ///
    /// Where h bends it does so within a width of about 1: at t = 0; on the right from where `few e^(2t)`
    /// passes 1, the double exponential sets in, to where it passes `many` and h becomes a line. Panels
    /// shrink geometrically towards a bend and grow away from it.
    fn reach(&self, t: f64, side: Side) -> f64 {
        match side {
            Side::Left => NEAR_BEND.max(-t),
            Side::Right => {
                let bend_begins = -0.5 * self.few.ln();
                let bend_ends = 0.5 * (self.many.ln() - self.few.ln());
                NEAR_BEND.max(0.5 * (bend_begins - t)).max(t - bend_ends)
            }
        }
    }
}
