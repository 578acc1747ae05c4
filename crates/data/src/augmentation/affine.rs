//! Affine maps of the plane.

/// `p -> A p + b`, in pixels about the centre of an image, x to the right and y downwards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Affine {
    /// Rows of `A`.
    a: [[f64; 2]; 2],
    b: [f64; 2],
}

impl Affine {
    pub(super) fn scale(x: f64, y: f64) -> Self {
        Self {
            a: [[x, 0.0], [0.0, y]],
            b: [0.0; 2],
        }
    }

    pub(super) fn rotate(angle: f64) -> Self {
        let (sin, cos) = angle.sin_cos();
        Self {
            a: [[cos, -sin], [sin, cos]],
            b: [0.0; 2],
        }
    }

    pub(super) fn translate(x: f64, y: f64) -> Self {
        Self {
            b: [x, y],
            ..Self::scale(1.0, 1.0)
        }
    }

    /// The image of `p`.
    pub(super) fn of(&self, p: [f64; 2]) -> [f64; 2] {
        let [x, y] = p;
        let coordinate = |i: usize| self.a[i][0] * x + self.a[i][1] * y + self.b[i];
        [coordinate(0), coordinate(1)]
    }

    /// This map, and `next` after it.
    pub(super) fn then(&self, next: &Self) -> Self {
        let product =
            |i: usize, j: usize| next.a[i][0] * self.a[0][j] + next.a[i][1] * self.a[1][j];
        Self {
            a: [
                [product(0, 0), product(0, 1)],
                [product(1, 0), product(1, 1)],
            ],
            b: next.of(self.b),
        }
    }

    /// The map that takes every point back; this one has a determinant.
    pub(super) fn inverse(&self) -> Self {
        let [[a, b], [c, d]] = self.a;
        let determinant = a * d - b * c;
        let linear = Self {
            a: [
                [d / determinant, -b / determinant],
                [-c / determinant, a / determinant],
            ],
            b: [0.0; 2],
        };
        let [x, y] = linear.of(self.b);
        Self {
            b: [-x, -y],
            ..linear
        }
    }
}
