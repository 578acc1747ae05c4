//! One-threaded matrix products: the same bits whatever runs beside them.

use gemm::Parallelism;

/// A matrix of `f64` seen through its strides.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    values: &'a [f64],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// `rows` rows of `columns` values; consecutive rows begin `row_stride` values apart.
    pub fn new(values: &'a [f64], rows: usize, columns: usize, row_stride: usize) -> Self {
        Self {
            values,
            rows,
            columns,
            row_stride,
            column_stride: 1,
        }
    }

    /// The same values with rows and columns exchanged.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The `num` rows from row `first` on.
    pub fn strip(self, first: usize, num: usize) -> Self {
        Self {
            values: &self.values[first * self.row_stride..],
            rows: num,
            ..self
        }
    }

    /// Whether every element lies inside the slice.
    fn is_covered(&self) -> bool {
        let last = (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride;
        self.rows > 0 && self.columns > 0 && last < self.values.len()
    }
}

/// Writes `a b`, row-major, to the front of `out`, or adds it to what stands there.
pub(crate) fn multiply(a: Matrix, b: Matrix, out: &mut [f64], accumulate: bool) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    assert_eq!(k, b.rows, "columns of a and rows of b");
    assert!(
        a.is_covered() && b.is_covered() && m * n <= out.len(),
        "a matrix reaches beyond its slice"
    );
    // SAFETY: the assertions above keep every element that the strides reach inside its slice, and
    // `out` is borrowed mutably, so it overlaps neither factor.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            accumulate,
            a.values.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.values.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn product_follows_the_strides() {
        // Rows of 2 in a table 3 wide; [[1, 2], [4, 5]] [[1, 4], [2, 5]] = [[5, 14], [14, 41]].
        let table = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let a = Matrix::new(&table, 2, 2, 3);
        let mut out = [0.0; 4];
        multiply(a, a.transposed(), &mut out, false);
        assert_eq!(out, [5.0, 14.0, 14.0, 41.0]);
        multiply(a, a.transposed(), &mut out, true);
        assert_eq!(out, [10.0, 28.0, 28.0, 82.0]);
    }

    #[test]
    #[should_panic(expected = "beyond its slice")]
    fn a_matrix_larger_than_its_slice_is_refused() {
        let a = Matrix::new(&[1.0; 5], 2, 3, 3);
        multiply(a, a.transposed(), &mut [0.0; 4], false);
    }
}
