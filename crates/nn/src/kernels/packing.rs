//! Convolution weights in the order in which the inner loop reads them.

use std::mem::MaybeUninit;

use pulp::{Arch, Simd, WithSimd};

use super::parallel::{for_each_piece, written};
use super::product::{LINE, PANEL_VECTORS};

/// Which product the weights are packed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Input to output: `[tap, c_in]` times `c_out`.
    Forward,
    /// Gradient of the output to gradient of the input: `[tap, c_out]` times `c_in`, taps reversed.
    Adjoint,
}

/// Weights of one convolution as panels of `[depth, width]`, the last one narrower and padded with zeros.
pub(crate) struct Packed {
    pub(crate) values: Vec<f32>,
    /// Products summed into one output element.
    pub(crate) depth: usize,
    /// Output elements of a pixel.
    pub(crate) columns: usize,
}

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

/// At least `len` values, and an odd number of cache lines: rows that far apart do not compete for the same lines of a cache,
/// as rows a power of two apart do.
pub(crate) fn apart(len: usize) -> usize {
    (len.div_ceil(LINE) | 1) * LINE
}

/// Packs weights of shape `[c_out, c_in, kernel, kernel]`.
pub(crate) fn pack(
    weight: &[f32],
    (c_out, c_in, kernel): (usize, usize, usize),
    direction: Direction,
) -> Packed {
    let taps = kernel * kernel;
    let (rows, columns) = match direction {
        Direction::Forward => (c_in, c_out),
        Direction::Adjoint => (c_out, c_in),
    };
    let depth = taps * rows;
    let lanes = lanes();
    let width = PANEL_VECTORS * lanes;
    let len = depth * columns.next_multiple_of(lanes);
    let task = |p: usize, panel: &mut [MaybeUninit<f32>]| {
        let (first, width) = (p * width, panel.len() / depth);
        let valid = width.min(columns - first);
        // Whole lines are written in order, from as many streams as a line has values.
        for row in 0..rows {
            let (start, step) = match direction {
                Direction::Forward => ((first * c_in + row) * taps, c_in * taps),
                Direction::Adjoint => ((row * c_in + first) * taps, taps),
            };
            assert!(start + (valid - 1) * step + taps <= weight.len());
            for tap in 0..taps {
                let from = match direction {
                    Direction::Forward => tap,
                    Direction::Adjoint => taps - 1 - tap,
                };
                let line = &mut panel[(tap * rows + row) * width..][..width];
                for (column, value) in line[..valid].iter_mut().enumerate() {
                    // SAFETY: asserted above.
                    value.write(unsafe { *weight.get_unchecked(start + from + column * step) });
                }
                line[valid..].fill(MaybeUninit::new(0.0));
            }
        }
    };
    // SAFETY: each piece is a panel, of which every line is written whole.
    let values = unsafe {
        written(len, |out| {
            for_each_piece(out, depth * width, weight.len(), task);
        })
    };
    Packed {
        values,
        depth,
        columns,
    }
}
