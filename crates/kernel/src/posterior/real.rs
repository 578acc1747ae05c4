//! The two floating-point types that a posterior is computed in.

/// `f32` or `f64`, seen from `f64`.
pub(super) trait Real: Copy + Default + PartialEq + Send + Sync + 'static {
    /// The multiplicative unit.
    const ONE: Self;
    /// Coordinates are held within this bound, so that sums of a million products stay finite.
    const BOUND: f64;

    /// Rounds an `f64`.
    fn of(value: f64) -> Self;

    /// The same number as `f64`.
    fn value(self) -> f64;
}

impl Real for f32 {
    const ONE: Self = 1.0;
    const BOUND: f64 = 1e25;

    fn of(value: f64) -> Self {
        value as Self
    }

    fn value(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    const ONE: Self = 1.0;
    const BOUND: f64 = 1e140;

    fn of(value: f64) -> Self {
        value
    }

    fn value(self) -> f64 {
        self
    }
}
