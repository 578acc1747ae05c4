//! One-threaded matrix products of row-major matrices: the same bits whatever runs beside them.

use gemm::Parallelism;

use super::real::Real;

/// Writes `a bᵀ` to `out`: `a` is `[rows, inner]`, `b` is `[columns, inner]`, `out` `[rows, columns]`.
pub(super) fn multiply_transposed<T: Real>(
    a: &[T],
    b: &[T],
    out: &mut [T],
    [rows, columns, inner]: [usize; 3],
) {
    assert_lengths(a, b, out, [rows, columns, inner]);
    // SAFETY: the lengths were checked above, every stride stays inside them, and `out` is borrowed
    // mutably, so it overlaps neither factor.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            inner,
            out.as_mut_ptr(),
            1,
            columns as isize,
            false,
            a.as_ptr(),
            1,
            inner as isize,
            b.as_ptr(),
            inner as isize,
            1,
            T::ONE,
            T::ONE,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// Adds `a b` to `out`: `a` is `[rows, inner]`, `b` is `[inner, columns]`, `out` `[rows, columns]`.
pub(super) fn multiply_add<T: Real>(
    a: &[T],
    b: &[T],
    out: &mut [T],
    [rows, columns, inner]: [usize; 3],
) {
    assert_lengths(a, b, out, [rows, columns, inner]);
    // SAFETY: as above.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            inner,
            out.as_mut_ptr(),
            1,
            columns as isize,
            true,
            a.as_ptr(),
            1,
            inner as isize,
            b.as_ptr(),
            1,
            columns as isize,
            T::ONE,
            T::ONE,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

fn assert_lengths<T>(a: &[T], b: &[T], out: &[T], [rows, columns, inner]: [usize; 3]) {
    assert_eq!(a.len(), rows * inner, "values of a");
    assert_eq!(b.len(), inner * columns, "values of b");
    assert_eq!(out.len(), rows * columns, "values of the product");
}
