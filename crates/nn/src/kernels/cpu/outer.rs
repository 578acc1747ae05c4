//! Sums of outer products, of which gradients of weights are made.
//!
//! ```text
//! sums[r, c] += Σ_k a[k, r] b[k, c]
//! ```

use std::array::from_fn;
use std::ops::Range;

use pulp::Simd;

use super::product::{FEW_ROWS, MANY_ROWS, PANEL_VECTORS, Run, Tile, accumulate, load, store};

/// Tasks to aim for, so that a few threads have pieces enough.
const TASKS: usize = 16;

/// Consecutive shares of what is summed over, where the blocks of a gradient are too few to be tasks of their own.
///
/// They follow from the shape, and are added in order.
#[derive(Clone, Copy)]
pub(crate) struct Shares {
    pub(crate) count: usize,
    total: usize,
}

impl Shares {
    /// Of `total`, for each of `blocks`; no share is to be smaller than `least`.
    pub(crate) fn new(total: usize, blocks: usize, least: usize) -> Self {
        let count = TASKS.div_ceil(blocks).min(total / least).max(1);
        Self { count, total }
    }

    /// Share `i`.
    pub(crate) fn range(&self, i: usize) -> Range<usize> {
        let len = self.total.div_ceil(self.count);
        (i * len).min(self.total)..((i + 1) * len).min(self.total)
    }
}

/// Outer products of `count` rows of two arrays that are in the cache.
pub(crate) struct OuterProducts<'a> {
    /// `[count, a_step]`, the first `rows` of each row taken.
    pub(crate) a: &'a [f32],
    pub(crate) a_step: usize,
    /// `[count, width]`.
    pub(crate) b: &'a [f32],
    pub(crate) count: usize,
    pub(crate) rows: usize,
    /// Whole vectors.
    pub(crate) width: usize,
    /// Whether the sums begin at zero.
    pub(crate) fresh: bool,
}

impl OuterProducts<'_> {
    /// Adds them to `sums [rows, width]`, in order.
    #[inline(always)]
    pub(crate) fn add<S: Simd>(&self, simd: S, sums: &mut [f32]) {
        let wide = self.width.is_multiple_of(PANEL_VECTORS * S::F32_LANES);
        match (S::REGISTER_COUNT >= 32, wide) {
            (true, true) => self.tiles::<S, MANY_ROWS, PANEL_VECTORS>(simd, sums),
            (true, false) => self.tiles::<S, MANY_ROWS, 1>(simd, sums),
            (false, true) => self.tiles::<S, FEW_ROWS, PANEL_VECTORS>(simd, sums),
            (false, false) => self.tiles::<S, FEW_ROWS, 1>(simd, sums),
        }
    }

    #[inline(always)]
    fn tiles<S: Simd, const M: usize, const V: usize>(&self, simd: S, sums: &mut [f32]) {
        let (rows, width, count) = (self.rows, self.width, self.count);
        assert!(width.is_multiple_of(V * S::F32_LANES) && rows * width <= sums.len());
        assert!(rows <= self.a_step && count * self.a_step <= self.a.len());
        assert!(count * width <= self.b.len());
        let all = simd.mask_between_m32s(0, S::F32_LANES as u32);
        for row in (0..rows).step_by(M) {
            let valid = M.min(rows - row);
            for column in (0..width).step_by(V * S::F32_LANES) {
                // SAFETY: rows and columns lie within the arrays, as asserted above; rows past the last
                // repeat it and are not written.
                unsafe {
                    let sums = sums.as_mut_ptr().add(row * width + column);
                    let run = Run {
                        rows: from_fn(|i| self.a.as_ptr().add(row + i.min(valid - 1))),
                        row_step: self.a_step,
                        panel: self.b.as_ptr().add(column),
                        panel_step: width,
                        len: count,
                    };
                    let mut acc: Tile<S, M, V> = [[simd.splat_f32s(0.0); V]; M];
                    if !self.fresh {
                        acc = from_fn(|i| {
                            let from = sums.add(i.min(valid - 1) * width);
                            from_fn(|v| load::<S>(from.add(v * S::F32_LANES)))
                        });
                    }
                    accumulate::<S, M, V, false>(simd, &mut acc, run, all, None);
                    for (i, values) in acc.iter().take(valid).enumerate() {
                        for (v, &value) in values.iter().enumerate() {
                            store::<S>(sums.add(i * width + v * S::F32_LANES), value);
                        }
                    }
                }
            }
        }
    }
}
