//! Convolution weights in the order in which the inner loop reads them.

use std::ops::Range;

use super::parallel::for_each_piece;
use super::product::{LINE, PANEL_VECTORS, lanes};
use super::scratch::Scratch;

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
    pub(crate) values: Scratch,
    /// Products summed into one output element.
    pub(crate) depth: usize,
    /// Output elements of a pixel.
    pub(crate) columns: usize,
}

/// At least `len` values, and an odd number of cache lines: rows that far apart do not compete for the same
/// lines of a cache, as rows a power of two apart do.
pub(crate) fn apart(len: usize) -> usize {
    (len.div_ceil(LINE) | 1) * LINE
}

/// Weights of shape `[c_out, c_in, taps]`, to be read by rows (channels that are summed over) and columns.
#[derive(Clone, Copy)]
pub(crate) struct Weights<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) c_in: usize,
    pub(crate) taps: usize,
    pub(crate) direction: Direction,
}

impl Weights<'_> {
    /// Channels that are summed over.
    pub(crate) fn depth(&self) -> usize {
        match self.direction {
            Direction::Forward => self.c_in,
            Direction::Adjoint => self.c_out(),
        }
    }

    /// Channels that come out.
    pub(crate) fn columns(&self) -> usize {
        match self.direction {
            Direction::Forward => self.c_out(),
            Direction::Adjoint => self.c_in,
        }
    }

    fn c_out(&self) -> usize {
        self.values.len() / (self.c_in * self.taps)
    }

    /// Rows to take together: some cache lines of weights for each column, and few enough to stay in the
    /// first-level cache.
    pub(crate) fn together(&self) -> usize {
        72usize.div_ceil(self.taps)
    }

    /// Brings some rows to `[row, tap, width]`, of which the first elements are `columns`; the others stay as
    /// they are.
    #[inline(always)]
    pub(crate) fn take(
        &self,
        rows: Range<usize>,
        columns: Range<usize>,
        width: usize,
        out: &mut [f32],
    ) {
        let taps = self.taps;
        assert!(rows.len() * taps * width <= out.len() && columns.len() <= width);
        match self.direction {
            Direction::Forward => {
                let lines = &self.values[(columns.start * self.c_in + rows.start) * taps..];
                let len = rows.len() * taps;
                transpose(lines, self.c_in * taps, out, width, (columns.len(), len));
            }
            Direction::Adjoint => {
                for (i, row) in rows.enumerate() {
                    let line = &self.values[(row * self.c_in + columns.start) * taps..];
                    for tap in 0..taps {
                        let weights = line[taps - 1 - tap..].iter().step_by(taps);
                        let to = &mut out[(i * taps + tap) * width..][..columns.len()];
                        to.iter_mut().zip(weights).for_each(|(to, &w)| *to = w);
                    }
                }
            }
        }
    }
}

/// `out[j * out_step + i] = x[i * x_step + j]`.
#[inline(always)]
fn transpose(
    x: &[f32],
    x_step: usize,
    out: &mut [f32],
    out_step: usize,
    (rows, columns): (usize, usize),
) {
    assert!(rows > 0 && columns > 0);
    assert!((rows - 1) * x_step + columns <= x.len());
    assert!((columns - 1) * out_step + rows <= out.len());
    for i in 0..rows {
        for j in 0..columns {
            // SAFETY: asserted above.
            unsafe { *out.get_unchecked_mut(j * out_step + i) = *x.get_unchecked(i * x_step + j) };
        }
    }
}

/// Packs weights for the direct kernel.
pub(crate) fn pack(weights: Weights) -> Packed {
    let (taps, rows, columns) = (weights.taps, weights.depth(), weights.columns());
    let depth = taps * rows;
    let lanes = lanes();
    let width = PANEL_VECTORS * lanes;
    let len = depth * columns.next_multiple_of(lanes);
    let task = |p: usize, panel: &mut [f32]| {
        let (first, width) = (p * width, panel.len() / depth);
        let columns = first..(first + width).min(columns);
        let together = weights.together();
        let mut taken = vec![0.0; together * taps * width];
        for start in (0..rows).step_by(together) {
            let group = start..(start + together).min(rows);
            weights.take(group.clone(), columns.clone(), width, &mut taken);
            for (i, row) in group.enumerate() {
                for tap in 0..taps {
                    let line = &taken[(i * taps + tap) * width..][..width];
                    panel[(tap * rows + row) * width..][..width].copy_from_slice(line);
                }
            }
        }
    };
    let mut values = Scratch::new(len);
    let work = weights.values.len();
    for_each_piece(&mut values[..len], depth * width, work, task);
    Packed {
        values,
        depth,
        columns,
    }
}
