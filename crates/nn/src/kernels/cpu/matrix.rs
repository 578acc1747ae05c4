//! Products of matrices with any strides, on the calling thread.

use gemm::{Parallelism, gemm};

/// A view of a matrix; `step` holds the distance between rows and between columns.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    step: (usize, usize),
}

impl<'a> Matrix<'a> {
    pub(crate) fn new(
        values: &'a [f32],
        (rows, columns): (usize, usize),
        step: (usize, usize),
    ) -> Self {
        Self {
            values,
            rows,
            columns,
            step,
        }
    }

    fn last(&self) -> usize {
        (self.rows - 1) * self.step.0 + (self.columns - 1) * self.step.1
    }
}

/// `out = scale a b`, on the calling thread.
pub(crate) fn multiply(a: Matrix, b: Matrix, out: &mut [f32], step: (usize, usize), scale: f32) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    assert_eq!(k, b.rows, "inner extents of a matrix product");
    if m == 0 || n == 0 {
        return;
    }
    assert!(k > 0, "a product of nothing");
    assert!(
        a.last() < a.values.len() && b.last() < b.values.len(),
        "a matrix exceeds its values"
    );
    assert!(
        (m - 1) * step.0 + (n - 1) * step.1 < out.len(),
        "a product exceeds its output"
    );
    // SAFETY: the assertions above keep every element of the three matrices within its slice.
    unsafe {
        gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            step.1 as isize,
            step.0 as isize,
            false,
            a.values.as_ptr(),
            a.step.1 as isize,
            a.step.0 as isize,
            b.values.as_ptr(),
            b.step.1 as isize,
            b.step.0 as isize,
            0.0,
            scale,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}
