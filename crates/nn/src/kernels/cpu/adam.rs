//! One step of Adam.

use rayon::prelude::*;

use super::average::move_piece;
use super::parallel::Shared;
use super::vectorized::vectorized;

/// Elements that one task handles: the weights are still in the cache when their averages follow.
const PIECE: usize = 1 << 13;

/// Factors of a step, as [`crate::ops::AdamStep`] explains them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Factors {
    pub(crate) beta1: f32,
    pub(crate) beta2: f32,
    pub(crate) rate: f32,
    pub(crate) eps: f32,
    pub(crate) scale: f32,
    pub(crate) keep: f32,
}

/// What a step changes, all of one length.
pub(crate) struct State<'a> {
    pub(crate) weight: &'a mut [f32],
    pub(crate) m: &'a mut [f32],
    pub(crate) v: &'a mut [f32],
}

impl Factors {
    /// Takes one step along `grad`, and moves `averages` of the weight towards it by their `shares`; each element's is its
    /// own, whatever the pieces.
    pub(crate) fn step(
        &self,
        state: State,
        grad: &[f32],
        averages: &mut [&mut [f32]],
        shares: &[f32],
    ) {
        let State { weight, m, v } = state;
        let averages: Vec<_> = averages
            .iter_mut()
            .map(|average| Shared::new(average))
            .collect();
        let weights = weight.par_chunks_mut(PIECE);
        let moments = m.par_chunks_mut(PIECE).zip(v.par_chunks_mut(PIECE));
        weights
            .zip(moments)
            .zip(grad.par_chunks(PIECE))
            .enumerate()
            .for_each(|(i, ((weight, (m, v)), grad))| {
                let len = grad.len();
                let (weight, m, v) = (&mut weight[..len], &mut m[..len], &mut v[..len]);
                vectorized(
                    #[inline(always)]
                    || {
                        for i in 0..len {
                            // Factors of 1 change no bit.
                            let g = self.scale * grad[i];
                            m[i] += (1.0 - self.beta1) * (g - m[i]);
                            v[i] = self.beta2 * v[i] + (1.0 - self.beta2) * g * g;
                            let step = self.rate * m[i] / (v[i].sqrt() + self.eps);
                            weight[i] = self.keep * weight[i] - step;
                        }
                    },
                );
                // SAFETY: piece `i` of each average belongs to this task alone.
                unsafe { move_piece(weight, i * PIECE, &averages, shares) };
            });
    }
}
