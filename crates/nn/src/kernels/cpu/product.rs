//! The inner loop of convolutions: a few broadcast rows times a panel of vectors, kept in registers.
//!
//! ```text
//! acc[i][v] += Σ_k rows[i][k · row_step] · panel[k · panel_step + v · LANES ..]
//! ```
//!
//! `k` runs upwards and one accumulator holds one output element from beginning to end, so an element's
//! value does not depend on the tile that it happens to lie in.

use pulp::{Arch, MemMask, Simd, WithSimd};

/// Vectors in a full panel.
pub(crate) const PANEL_VECTORS: usize = 2;

/// Rows of a tile where 32 vector registers hold the accumulators.
pub(crate) const MANY_ROWS: usize = 8;

/// Rows of a tile where 16 vector registers hold the accumulators.
pub(crate) const FEW_ROWS: usize = 6;

/// Floats in one vector register of this machine.
pub(crate) fn lanes() -> usize {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    Arch::new().dispatch(Lanes)
}

/// Rows of a tile on this machine.
pub(crate) fn tile_rows() -> usize {
    struct Rows;
    impl WithSimd for Rows {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            if S::REGISTER_COUNT >= 32 {
                MANY_ROWS
            } else {
                FEW_ROWS
            }
        }
    }
    Arch::new().dispatch(Rows)
}

/// Values of a cache line.
pub(crate) const LINE: usize = 16;

/// Accumulators of one tile: `M` rows of `V` vectors.
pub(crate) type Tile<S, const M: usize, const V: usize> = [[<S as Simd>::f32s; V]; M];

/// One run of products with constant strides.
#[derive(Clone, Copy)]
pub(crate) struct Run<const M: usize> {
    /// First element of each row.
    pub(crate) rows: [*const f32; M],
    /// Distance between a row's successive elements.
    pub(crate) row_step: usize,
    /// First vector of the panel.
    pub(crate) panel: *const f32,
    /// Distance between the panel's successive vectors.
    pub(crate) panel_step: usize,
    /// Number of products.
    pub(crate) len: usize,
}

/// Asks for the cache line at `at`, which need not be readable.
#[inline(always)]
fn prefetch(at: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint, which no address can make fail.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T1>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// Adds one run of products to the tile.
///
/// With `RAGGED`, the last vector of each panel step is read through `tail`. `ahead` names lines that will be
/// wanted soon: one is asked for with each product.
///
/// # Safety
///
/// Every element and vector that `run` names lies within its allocation.
#[inline(always)]
pub(crate) unsafe fn accumulate<S: Simd, const M: usize, const V: usize, const RAGGED: bool>(
    simd: S,
    acc: &mut Tile<S, M, V>,
    run: Run<M>,
    tail: MemMask<S::m32s>,
    ahead: Option<*const f32>,
) {
    for k in 0..run.len {
        if let Some(ahead) = ahead {
            prefetch(ahead.wrapping_add(k * LINE));
        }
        let mut b = [simd.splat_f32s(0.0); V];
        for (v, vector) in b.iter_mut().enumerate() {
            // SAFETY: the caller vouches for the panel's elements.
            *vector = unsafe {
                let at = run.panel.add(k * run.panel_step + v * S::F32_LANES);
                if RAGGED && v + 1 == V {
                    simd.mask_load_ptr_f32s(tail, at)
                } else {
                    load::<S>(at)
                }
            };
        }
        for (row, sums) in run.rows.iter().zip(acc.iter_mut()) {
            // SAFETY: the caller vouches for the rows' elements.
            let a = simd.splat_f32s(unsafe { *row.add(k * run.row_step) });
            for (sum, &vector) in sums.iter_mut().zip(&b) {
                *sum = simd.mul_add_e_f32s(a, vector, *sum);
            }
        }
    }
}

/// Reads one vector.
///
/// # Safety
///
/// `S::F32_LANES` values are readable at `at`.
#[inline(always)]
pub(crate) unsafe fn load<S: Simd>(at: *const f32) -> S::f32s {
    // SAFETY: as the caller promises; any bit pattern is a vector of floats.
    unsafe { at.cast::<S::f32s>().read_unaligned() }
}

/// Writes one vector.
///
/// # Safety
///
/// `S::F32_LANES` values are writable at `at`.
#[inline(always)]
pub(crate) unsafe fn store<S: Simd>(at: *mut f32, vector: S::f32s) {
    // SAFETY: as the caller promises.
    unsafe { at.cast::<S::f32s>().write_unaligned(vector) }
}

/// Reads one vector, `WHOLE` or as far as `tail` goes.
///
/// # Safety
///
/// What is read is readable at `at`.
#[inline(always)]
pub(crate) unsafe fn load_part<S: Simd, const WHOLE: bool>(
    simd: S,
    tail: MemMask<S::m32s>,
    at: *const f32,
) -> S::f32s {
    // SAFETY: as the caller promises.
    unsafe {
        // A masked access is a call, and whole vectors are what there is most of.
        if WHOLE {
            load::<S>(at)
        } else {
            simd.mask_load_ptr_f32s(tail, at)
        }
    }
}

/// Writes one vector, `WHOLE` or as far as `tail` goes.
///
/// # Safety
///
/// What is written is writable at `at`.
#[inline(always)]
pub(crate) unsafe fn store_part<S: Simd, const WHOLE: bool>(
    simd: S,
    tail: MemMask<S::m32s>,
    at: *mut f32,
    vector: S::f32s,
) {
    // SAFETY: as the caller promises.
    unsafe {
        if WHOLE {
            store::<S>(at, vector);
        } else {
            simd.mask_store_ptr_f32s(tail, at, vector);
        }
    }
}
