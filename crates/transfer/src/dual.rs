//! Numbers that carry their derivatives through whatever is computed of them.

use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::Real;

/// A number with its derivatives by `M` others.
///
/// ```
/// # use pfgmpp_transfer::{Dual, Real};
/// let (x, y) = (Dual::<2>::variable(3.0, 0), Dual::variable(4.0, 1));
/// let r = x.hypot(y);
/// assert_eq!((r.value, r.by), (5.0, [0.6, 0.8]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dual<const M: usize> {
    /// The number.
    pub value: f64,
    /// Its derivatives.
    pub by: [f64; M],
}

impl<const M: usize> Dual<M> {
    /// The number that derivative `index` is taken by.
    ///
    /// # Panics
    ///
    /// An `index` that is not below `M`.
    #[must_use]
    pub fn variable(value: f64, index: usize) -> Self {
        let mut by = [0.0; M];
        by[index] = 1.0;
        Self { value, by }
    }

    /// A function of both numbers that has the given value and slopes here.
    fn combined(self, other: Self, value: f64, [slope, other_slope]: [f64; 2]) -> Self {
        Self {
            value,
            by: std::array::from_fn(|i| slope * self.by[i] + other_slope * other.by[i]),
        }
    }
}

impl<const M: usize> From<f64> for Dual<M> {
    fn from(value: f64) -> Self {
        Self {
            value,
            by: [0.0; M],
        }
    }
}

impl<const M: usize> Real for Dual<M> {
    fn value(self) -> f64 {
        self.value
    }

    fn mapped(self, value: f64, slope: f64) -> Self {
        Self {
            value,
            by: self.by.map(|by| slope * by),
        }
    }

    fn hypot(self, other: Self) -> Self {
        let value = self.value.hypot(other.value);
        if value == 0.0 {
            return Self::from(value);
        }
        self.combined(other, value, [self.value / value, other.value / value])
    }
}

impl<const M: usize> Neg for Dual<M> {
    type Output = Self;

    fn neg(self) -> Self {
        self.mapped(-self.value, -1.0)
    }
}

impl<const M: usize> Add for Dual<M> {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.combined(other, self.value + other.value, [1.0, 1.0])
    }
}

impl<const M: usize> Sub for Dual<M> {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.combined(other, self.value - other.value, [1.0, -1.0])
    }
}

impl<const M: usize> Mul for Dual<M> {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        let (a, b) = (self.value, other.value);
        self.combined(other, a * b, [b, a])
    }
}

impl<const M: usize> Div for Dual<M> {
    type Output = Self;

    fn div(self, other: Self) -> Self {
        let (value, slope) = (self.value / other.value, other.value.recip());
        self.combined(other, value, [slope, -value * slope])
    }
}

impl<const M: usize> Add<f64> for Dual<M> {
    type Output = Self;

    fn add(self, other: f64) -> Self {
        self.mapped(self.value + other, 1.0)
    }
}

impl<const M: usize> Sub<f64> for Dual<M> {
    type Output = Self;

    fn sub(self, other: f64) -> Self {
        self.mapped(self.value - other, 1.0)
    }
}

impl<const M: usize> Mul<f64> for Dual<M> {
    type Output = Self;

    fn mul(self, other: f64) -> Self {
        self.mapped(self.value * other, other)
    }
}

impl<const M: usize> Div<f64> for Dual<M> {
    type Output = Self;

    fn div(self, other: f64) -> Self {
        self.mapped(self.value / other, other.recip())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every operation, against the difference of its values.
    #[test]
    fn derivatives_are_those_of_differences() {
        type Of<R> = fn(R, R) -> R;
        fn all<R: Real>() -> Vec<(&'static str, Of<R>)> {
            vec![
                ("exp", |a, b| (a * b).exp()),
                ("exp_m1", |a, b| (a - b).exp_m1()),
                ("ln", |a, b| (a + b).ln()),
                ("ln_1p", |a, b| (a / b).ln_1p()),
                ("sqrt", |a, b| (a * 2.0 + b).sqrt()),
                ("recip", |a, b| (a * b + 1.0).recip()),
                ("powi", |a, b| a.powi(3) * b.powi(-2)),
                ("hypot", |a, b| a.hypot(b)),
                ("max", |a, b| a.max(b) * a),
                ("min", |a, b| a.min(b) - 2.0),
                ("copysign", |a, b| (a * b).copysign(-1.0) / 3.0),
            ]
        }
        let (a, b, h) = (0.7, 1.3, 1e-4);
        let duals = (Dual::variable(a, 0), Dual::<2>::variable(b, 1));
        for ((name, f), (_, dual)) in all::<f64>().into_iter().zip(all::<Dual<2>>()) {
            let got = dual(duals.0, duals.1);
            assert_eq!(got.value, f(a, b), "{name}");
            let slope = |f: &dyn Fn(f64) -> f64| {
                (8.0 * (f(h) - f(-h)) - (f(2.0 * h) - f(-2.0 * h))) / (12.0 * h)
            };
            let want = [slope(&|h| f(a + h, b)), slope(&|h| f(a, b + h))];
            for (got, want) in got.by.into_iter().zip(want) {
                assert!((got - want).abs() < 1e-10, "{name}: got {got}, want {want}");
            }
        }
    }

    #[test]
    fn values_are_those_of_plain_numbers_where_slopes_are_not_defined() {
        let zero = Dual::<1>::variable(0.0, 0);
        assert_eq!(zero.sqrt(), Dual::from(0.0));
        assert_eq!(zero.hypot(Dual::from(0.0)), Dual::from(0.0));
        let nan = Dual::<1>::from(f64::NAN);
        assert_eq!([nan.max(zero), zero.max(nan), zero.min(nan)], [zero; 3]);
    }
}
