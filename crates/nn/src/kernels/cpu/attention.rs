//! Self-attention of one layer and its gradient.
//!
//! ```text
//! P = softmax(Q Kᵀ / sqrt(c))        out = P V
//! dV = Pᵀ dO    dP = dO Vᵀ    dS = P (dP - Σ_k P dP)    dQ = dS K / sqrt(c)    dK = dSᵀ Q / sqrt(c)
//! ```
//!
//! Channel `(head · c + i) · 3 + {0, 1, 2}` of the input holds channel `i` of the query, key and value of `head`.

use super::elementwise::exp;
use super::matrix::{Matrix, multiply};
use super::parallel::for_each_piece_with;
use super::scratch::Scratch;
use super::vectorized::vectorized;

/// Shape of one attention: samples, pixels, heads, channels of a head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttentionShape {
    pub(crate) batch: usize,
    pub(crate) pixels: usize,
    pub(crate) heads: usize,
    pub(crate) channels: usize,
}

/// Attends: `qkv [B, pixels, heads · c · 3]` to `[B, pixels, heads · c]`.
pub(crate) fn attend(shape: AttentionShape, qkv: &[f32]) -> Vec<f32> {
    let (l, c) = (shape.pixels, shape.channels);
    let width = shape.heads * c;
    let mut out = vec![0.0; shape.batch * l * width];
    let task = |scratch: &mut Head, b: usize, out: &mut [f32]| {
        for head in 0..shape.heads {
            scratch.load(shape, qkv, b, head);
            scratch.weigh(shape);
            let v = Matrix::new(&scratch.qkv[2 * l * c..], (l, c), (c, 1));
            let p = Matrix::new(&scratch.weights, (l, l), (l, 1));
            multiply(p, v, &mut out[head * c..], (width, 1), 1.0);
        }
    };
    for_each_piece_with(&mut out, l * width, shape.work(), || Head::new(shape), task);
    out
}

/// Gradient of `qkv` from the gradient of the output.
pub(crate) fn attend_backward(shape: AttentionShape, qkv: &[f32], grad: &[f32]) -> Vec<f32> {
    let (l, c) = (shape.pixels, shape.channels);
    let width = shape.heads * c;
    let mut out = vec![0.0; qkv.len()];
    let task = |scratch: &mut Head, b: usize, out: &mut [f32]| {
        for head in 0..shape.heads {
            scratch.load(shape, qkv, b, head);
            scratch.weigh(shape);
            let grad = Matrix::new(&grad[b * l * width + head * c..], (l, c), (width, 1));
            scratch.backward(shape, grad, &mut out[3 * head * c..]);
        }
    };
    for_each_piece_with(
        &mut out,
        3 * l * width,
        3 * shape.work(),
        || Head::new(shape),
        task,
    );
    out
}

impl AttentionShape {
    fn work(&self) -> usize {
        2 * self.batch * self.heads * self.pixels * self.pixels * self.channels
    }

    fn scale(&self) -> f32 {
        1.0 / (self.channels as f32).sqrt()
    }
}

/// Query, key and value of one head, each `[pixels, c]`, and its `[pixels, pixels]` weights.
struct Head {
    qkv: Scratch,
    weights: Scratch,
    slopes: Scratch,
}

impl Head {
    fn new(shape: AttentionShape) -> Self {
        let square = shape.pixels * shape.pixels;
        Self {
            qkv: Scratch::new(3 * shape.pixels * shape.channels),
            weights: Scratch::new(square),
            slopes: Scratch::new(square),
        }
    }

    /// Takes the interleaved channels of one sample and head apart.
    fn load(&mut self, shape: AttentionShape, qkv: &[f32], sample: usize, head: usize) {
        let (l, c) = (shape.pixels, shape.channels);
        let (q, kv) = self.qkv.split_at_mut(l * c);
        let (k, v) = kv.split_at_mut(l * c);
        let width = 3 * shape.heads * c;
        for p in 0..l {
            let channels = &qkv[(sample * l + p) * width + 3 * head * c..][..3 * c];
            for (i, triple) in channels.chunks_exact(3).enumerate() {
                (q[p * c + i], k[p * c + i], v[p * c + i]) = (triple[0], triple[1], triple[2]);
            }
        }
    }

    /// Fills the attention weights.
    fn weigh(&mut self, shape: AttentionShape) {
        let (l, c) = (shape.pixels, shape.channels);
        let (q, kv) = self.qkv.split_at(l * c);
        let q = Matrix::new(q, (l, c), (c, 1));
        let k_transposed = Matrix::new(&kv[..l * c], (c, l), (1, c));
        multiply(q, k_transposed, &mut self.weights, (l, 1), shape.scale());
        vectorized(
            #[inline(always)]
            || softmax(&mut self.weights[..l * l], l),
        );
    }

    /// Writes the gradients of query, key and value of the loaded head to every third value of `out`.
    fn backward(&mut self, shape: AttentionShape, grad: Matrix, out: &mut [f32]) {
        let (l, c, scale) = (shape.pixels, shape.channels, shape.scale());
        let (q, kv) = self.qkv.split_at(l * c);
        let (k, v) = kv.split_at(l * c);
        let step = (3 * shape.heads * c, 3);
        let p_transposed = Matrix::new(&self.weights, (l, l), (1, l));
        multiply(p_transposed, grad, &mut out[2..], step, 1.0);
        let v_transposed = Matrix::new(v, (c, l), (1, c));
        multiply(grad, v_transposed, &mut self.slopes, (l, 1), 1.0);
        vectorized(
            #[inline(always)]
            || softmax_backward(&self.weights[..l * l], &mut self.slopes[..l * l], l),
        );
        let slopes = Matrix::new(&self.slopes, (l, l), (l, 1));
        multiply(slopes, Matrix::new(k, (l, c), (c, 1)), out, step, scale);
        let slopes_transposed = Matrix::new(&self.slopes, (l, l), (1, l));
        multiply(
            slopes_transposed,
            Matrix::new(q, (l, c), (c, 1)),
            &mut out[1..],
            step,
            scale,
        );
    }
}

/// Softmax of each row of `len` values.
#[inline(always)]
fn softmax(rows: &mut [f32], len: usize) {
    for row in rows.chunks_exact_mut(len) {
        let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        for value in row.iter_mut() {
            *value = exp(*value - max);
        }
        let scale = 1.0 / row.iter().sum::<f32>();
        for value in row.iter_mut() {
            *value *= scale;
        }
    }
}

/// Turns the gradient of softmax weights into that of their logits.
#[inline(always)]
fn softmax_backward(weights: &[f32], grad: &mut [f32], len: usize) {
    for (p, dp) in weights.chunks_exact(len).zip(grad.chunks_exact_mut(len)) {
        let mean: f32 = p.iter().zip(dp.iter()).map(|(p, dp)| p * dp).sum();
        for (p, dp) in p.iter().zip(dp.iter_mut()) {
            *dp = p * (*dp - mean);
        }
    }
}
