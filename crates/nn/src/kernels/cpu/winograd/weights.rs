//! The transform of the weights, in the order in which the products read it.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::transform::{IN, POINTS, TAPS, weight};
use crate::kernels::cpu::packing::{Weights, apart};
use crate::kernels::cpu::parallel::for_each_piece;
use crate::kernels::cpu::product::{PANEL_VECTORS, lanes, load, store};
use crate::kernels::cpu::scratch::Scratch;

/// Panels of some columns of the transform `U = G g Gᵀ`: in each, point `ξ` holds `[depth, width]`, [`apart`]
/// from the next one.
#[derive(Clone, Copy)]
pub(super) struct Panels<'a> {
    weights: Weights<'a>,
}

impl<'a> Panels<'a> {
    pub(super) fn new(weights: Weights<'a>) -> Self {
        Self { weights }
    }

    /// Channels that are summed over.
    pub(super) fn depth(&self) -> usize {
        self.weights.depth()
    }

    /// Channels that come out.
    pub(super) fn columns(&self) -> usize {
        self.weights.columns()
    }

    /// Number of panels.
    pub(super) fn count(&self) -> usize {
        self.columns().div_ceil(full_width())
    }

    /// Columns of panel `p`.
    pub(super) fn range(&self, p: usize) -> Range<usize> {
        p * full_width()..self.columns().min((p + 1) * full_width())
    }

    /// The columns of panel `p` rounded up to whole vectors.
    pub(super) fn width(&self, p: usize) -> usize {
        self.range(p).len().next_multiple_of(lanes())
    }

    /// Values of panel `p`.
    pub(super) fn len(&self, p: usize) -> usize {
        POINTS * apart(self.depth() * self.width(p))
    }

    /// Writes panel `p`.
    pub(super) fn transform(&self, p: usize, out: &mut [f32]) {
        Arch::new().dispatch(Transform {
            weights: self.weights,
            columns: self.range(p),
            width: self.width(p),
            out,
        });
    }

    /// All panels, one behind the other; panel `p` begins at `p * len(0)`.
    pub(super) fn all(&self) -> Scratch {
        let (len, last) = (self.len(0), self.count() - 1);
        let total = last * len + self.len(last);
        let mut panels = Scratch::new(total);
        let work = self.weights.values.len() * 8;
        for_each_piece(&mut panels[..total], len, work, |p, panel| {
            self.transform(p, panel);
        });
        panels
    }
}

/// Columns of every panel but the last.
fn full_width() -> usize {
    PANEL_VECTORS * lanes()
}

struct Transform<'a> {
    weights: Weights<'a>,
    columns: Range<usize>,
    width: usize,
    out: &'a mut [f32],
}

impl WithSimd for Transform<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (weights, width) = (self.weights, self.width);
        let (depth, together) = (weights.depth(), weights.together());
        let step = apart(depth * width);
        // `[row, tap, width]`; columns past the last stay zero.
        let mut taps = vec![0.0; together * TAPS * width];
        for start in (0..depth).step_by(together) {
            let rows = start..(start + together).min(depth);
            weights.take(rows.clone(), self.columns.clone(), width, &mut taps);
            for (row, taps) in rows.zip(taps.chunks_exact(TAPS * width)) {
                for at in (0..width).step_by(S::F32_LANES) {
                    self.vector(simd, taps, at, (row * width + at, step));
                }
            }
        }
    }
}

impl Transform<'_> {
    /// Transforms one vector of taps, `at` in each; point `ξ` goes to `to + ξ * step`.
    #[inline(always)]
    fn vector<S: Simd>(&mut self, simd: S, taps: &[f32], at: usize, (to, step): (usize, usize)) {
        let width = self.width;
        assert!((TAPS - 1) * width + at + S::F32_LANES <= taps.len());
        assert!((POINTS - 1) * step + to + S::F32_LANES <= self.out.len());
        let mut half = [[simd.splat_f32s(0.0); IN]; 3];
        for (j, half) in half.iter_mut().enumerate() {
            let mut column = [simd.splat_f32s(0.0); 3];
            for (i, value) in column.iter_mut().enumerate() {
                // SAFETY: asserted above.
                *value = unsafe { load::<S>(taps.as_ptr().add((i * 3 + j) * width + at)) };
            }
            *half = weight(simd, column);
        }
        for i in 0..IN {
            let values = weight(simd, half.map(|column| column[i]));
            for (j, &value) in values.iter().enumerate() {
                // SAFETY: asserted above.
                unsafe {
                    let to = self.out.as_mut_ptr().add((i * IN + j) * step + to);
                    store::<S>(to, value);
                }
            }
        }
    }
}
