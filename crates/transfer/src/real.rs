//! What is asked of numbers that scalings and noise levels are computed of.

use std::ops::{Add, Div, Mul, Neg, Sub};

/// A number that scalings and noise levels are computed of: `f64`, or a [`Dual`](crate::Dual) for their derivatives as well.
///
/// One formula serves both, so that a derivative is that of the very number computed, an average over a grid
/// that moves with its arguments included. Comparisons, and with them the branches taken, are those of the values.
pub trait Real:
    Copy
    + From<f64>
    + Neg<Output = Self>
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Add<f64, Output = Self>
    + Sub<f64, Output = Self>
    + Mul<f64, Output = Self>
    + Div<f64, Output = Self>
{
    /// The number itself.
    fn value(self) -> f64;

    /// A function of this number that has the given value and slope here.
    #[must_use]
    fn mapped(self, value: f64, slope: f64) -> Self;

    /// `e^self`.
    #[must_use]
    fn exp(self) -> Self {
        let e = self.value().exp();
        self.mapped(e, e)
    }

    /// `e^self - 1`.
    #[must_use]
    fn exp_m1(self) -> Self {
        self.mapped(self.value().exp_m1(), self.value().exp())
    }

    /// The natural logarithm.
    #[must_use]
    fn ln(self) -> Self {
        self.mapped(self.value().ln(), self.value().recip())
    }

    /// `ln(1 + self)`.
    #[must_use]
    fn ln_1p(self) -> Self {
        self.mapped(self.value().ln_1p(), (1.0 + self.value()).recip())
    }

    /// The square root; at 0 its slope counts as 0.
    #[must_use]
    fn sqrt(self) -> Self {
        let root = self.value().sqrt();
        let slope = if root == 0.0 { 0.0 } else { 0.5 / root };
        self.mapped(root, slope)
    }

    /// `1 / self`.
    #[must_use]
    fn recip(self) -> Self {
        let r = self.value().recip();
        self.mapped(r, -r * r)
    }

    /// `self^n`.
    #[must_use]
    fn powi(self, n: i32) -> Self {
        let slope = f64::from(n) * self.value().powi(n - 1);
        self.mapped(self.value().powi(n), slope)
    }

    /// `sqrt(self² + other²)` without overflow; at 0 its slopes count as 0.
    #[must_use]
    fn hypot(self, other: Self) -> Self;

    /// The larger of two numbers.
    #[must_use]
    fn max(self, other: Self) -> Self {
        // A value that is not a number gives way, as with `f64::max`.
        if self.value() >= other.value() || other.value().is_nan() {
            self
        } else {
            other
        }
    }

    /// The smaller of two numbers.
    #[must_use]
    fn min(self, other: Self) -> Self {
        if self.value() <= other.value() || other.value().is_nan() {
            self
        } else {
            other
        }
    }

    /// With the sign of `sign`.
    #[must_use]
    fn copysign(self, sign: f64) -> Self {
        if self.value().is_sign_negative() == sign.is_sign_negative() {
            self
        } else {
            -self
        }
    }
}

impl Real for f64 {
    fn value(self) -> f64 {
        self
    }

    fn mapped(self, value: f64, _: f64) -> Self {
        value
    }

    fn hypot(self, other: Self) -> Self {
        Self::hypot(self, other)
    }
}
