//! Convolution weights in the order in which the inner loop reads them.

use pulp::{Arch, Simd, WithSimd};

use super::parallel::for_each_piece;
use super::product::PANEL_VECTORS;

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
    let mut values = vec![0.0; depth * columns.next_multiple_of(lanes)];
    for_each_piece(&mut values, depth * width, weight.len(), |p, panel| {
        let width = panel.len() / depth;
        let first = p * PANEL_VECTORS * lanes;
        let valid = width.min(columns - first);
        // Whole lines are written in order, from as many streams as a line has values.
        for row in 0..rows {
            for tap in 0..taps {
                let line = &mut panel[(tap * rows + row) * width..][..valid];
                for (column, value) in (first..).zip(line) {
                    *value = match direction {
                        Direction::Forward => weight[(column * c_in + row) * taps + tap],
                        Direction::Adjoint => weight[(row * c_in + column) * taps + taps - 1 - tap],
                    };
                }
            }
        }
    });
    Packed {
        values,
        depth,
        columns,
    }
}
