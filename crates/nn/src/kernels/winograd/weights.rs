//! The transform of the weights, in the order in which the products read it.

use std::mem::MaybeUninit;

use pulp::{Arch, Simd, WithSimd};

use super::transform::{IN, POINTS, TAPS, weight};
use crate::kernels::packing::{Direction, apart, lanes};
use crate::kernels::parallel::{for_each_piece, written};
use crate::kernels::product::{PANEL_VECTORS, load, store};

/// `U = G g Gᵀ` for all weights: panels of some columns, in each of which point `ξ` holds `[depth, width]`,
/// [`apart`] from the next one.
pub(crate) struct Transformed {
    pub(super) values: Vec<f32>,
    /// Channels that are summed over.
    pub(crate) depth: usize,
    /// Channels that come out.
    pub(crate) columns: usize,
}

impl Transformed {
    /// The panel whose first column is `first`, and its width.
    pub(super) fn panel(&self, first: usize) -> (&[f32], usize) {
        let full = PANEL_VECTORS * lanes();
        let width = (self.columns.next_multiple_of(lanes()) - first).min(full);
        let start = first / full * POINTS * apart(self.depth * full);
        let len = POINTS * apart(self.depth * width);
        (&self.values[start..start + len], width)
    }
}

/// Transforms weights of shape `[c_out, c_in, 3, 3]`.
pub(crate) fn transform_weights(
    weight: &[f32],
    (c_out, c_in): (usize, usize),
    direction: Direction,
) -> Transformed {
    let (depth, columns) = match direction {
        Direction::Forward => (c_in, c_out),
        Direction::Adjoint => (c_out, c_in),
    };
    let lanes = lanes();
    let width = PANEL_VECTORS * lanes;
    let piece = POINTS * apart(depth * width);
    let padded = columns.next_multiple_of(lanes);
    let last = match padded % width {
        0 => 0,
        last => POINTS * apart(depth * last),
    };
    let len = padded / width * piece + last;
    let task = |p: usize, panel: &mut [MaybeUninit<f32>]| {
        Arch::new().dispatch(Panel {
            weight,
            c_in,
            direction,
            depth,
            width: width.min(padded - p * width),
            columns: p * width..columns.min((p + 1) * width),
            out: panel,
        });
    };
    // SAFETY: each piece is a panel, and `Panel` writes all of it.
    let values = unsafe {
        written(len, |out| {
            for_each_piece(out, piece, weight.len() * 8, task);
        })
    };
    Transformed {
        values,
        depth,
        columns,
    }
}

struct Panel<'a> {
    weight: &'a [f32],
    c_in: usize,
    direction: Direction,
    depth: usize,
    width: usize,
    columns: std::ops::Range<usize>,
    out: &'a mut [MaybeUninit<f32>],
}

impl WithSimd for Panel<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (width, step) = (self.width, apart(self.depth * self.width));
        for gap in self.out.chunks_exact_mut(step) {
            gap[self.depth * width..].fill(MaybeUninit::new(0.0));
        }
        // Taps of one row of the panel, `[9, width]`; columns past the last stay zero.
        let mut taps = vec![0.0f32; TAPS * width];
        for row in 0..self.depth {
            self.gather(row, &mut taps);
            for v in 0..width / S::F32_LANES {
                self.transform(simd, &taps, row, (v, width));
            }
        }
    }
}

impl Panel<'_> {
    /// Takes the taps of one row from the weights, in the order of the direction.
    #[inline(always)]
    fn gather(&self, row: usize, taps: &mut [f32]) {
        let (first, step) = match self.direction {
            Direction::Forward => (
                (self.columns.start * self.c_in + row) * TAPS,
                self.c_in * TAPS,
            ),
            Direction::Adjoint => ((row * self.c_in + self.columns.start) * TAPS, TAPS),
        };
        let (count, width) = (self.columns.len(), self.width);
        assert!(first + (count - 1) * step + TAPS <= self.weight.len());
        assert!(count <= width && taps.len() == TAPS * width);
        for tap in 0..TAPS {
            let from = match self.direction {
                Direction::Forward => tap,
                Direction::Adjoint => TAPS - 1 - tap,
            };
            for column in 0..count {
                // SAFETY: asserted above.
                unsafe {
                    *taps.get_unchecked_mut(tap * width + column) =
                        *self.weight.get_unchecked(first + from + column * step);
                }
            }
        }
    }

    /// Transforms vector `v` of one row of taps.
    #[inline(always)]
    fn transform<S: Simd>(
        &mut self,
        simd: S,
        taps: &[f32],
        row: usize,
        (v, width): (usize, usize),
    ) {
        let at = v * S::F32_LANES;
        assert!((TAPS - 1) * width + at + S::F32_LANES <= taps.len());
        let step = apart(self.depth * width);
        assert!((POINTS - 1) * step + row * width + at + S::F32_LANES <= self.out.len());
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
                    let to = (i * IN + j) * step + row * width + at;
                    store::<S>(self.out.as_mut_ptr().add(to).cast(), value);
                }
            }
        }
    }
}
