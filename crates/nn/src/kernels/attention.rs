//! Self-attention of one layer and its gradient.
//!
//! ```text
//! P = softmax(Q Kᵀ / sqrt(c))        out = P V
//! dV = Pᵀ dO    dP = dO Vᵀ    dS = P (dP - Σ_k P dP)    dQ = dS K / sqrt(c)    dK = dSᵀ Q / sqrt(c)
//! ```
//!
//! Channel `(head · c + i) · 3 + {0, 1, 2}` of the input holds channel `i` of the query, key and value of `head`.

use super::vectorized::vectorized;
use gemm::{Parallelism, gemm};

use super::elementwise::exp;
use super::parallel::for_each_piece_with;

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
    let width = shape.heads * shape.channels;
    let mut out = vec![0.0; shape.batch * shape.pixels * width];
    for_each_piece_with(
        &mut out,
        shape.pixels * width,
        shape.work(),
        || Scratch::new(shape),
        |scratch, b, out| {
            for head in 0..shape.heads {
                scratch.load(shape, qkv, b, head);
                scratch.weigh(shape);
                let (l, c) = (shape.pixels, shape.channels);
                let v = Matrix {
                    values: &scratch.qkv[2 * l * c..],
                    rows: l,
                    columns: c,
                    step: (c, 1),
                };
                let p = Matrix {
                    values: &scratch.weights,
                    rows: l,
                    columns: l,
                    step: (l, 1),
                };
                multiply(p, v, &mut out[head * c..], (width, 1), 1.0);
            }
        },
    );
    out
}

/// Gradient of `qkv` from the gradient of the output.
pub(crate) fn attend_backward(shape: AttentionShape, qkv: &[f32], grad: &[f32]) -> Vec<f32> {
    let (l, c) = (shape.pixels, shape.channels);
    let width = shape.heads * c;
    let mut out = vec![0.0; qkv.len()];
    for_each_piece_with(
        &mut out,
        3 * l * width,
        3 * shape.work(),
        || Scratch::new(shape),
        |scratch, b, out| {
            for head in 0..shape.heads {
                scratch.load(shape, qkv, b, head);
                scratch.weigh(shape);
                let (q, kv) = scratch.qkv.split_at(l * c);
                let (k, v) = kv.split_at(l * c);
                let dense = |values, columns, step| Matrix {
                    values,
                    rows: l,
                    columns,
                    step,
                };
                let grad = dense(&grad[b * l * width + head * c..], c, (width, 1));
                let out = &mut out[3 * head * c..];
                multiply(
                    dense(&scratch.weights, l, (1, l)),
                    grad,
                    &mut out[2..],
                    (3 * width, 3),
                    1.0,
                );
                let v_transposed = Matrix {
                    values: v,
                    rows: c,
                    columns: l,
                    step: (1, c),
                };
                multiply(grad, v_transposed, &mut scratch.slopes, (l, 1), 1.0);
                vectorized(
                    #[inline(always)]
                    || softmax_backward(&scratch.weights, &mut scratch.slopes, l),
                );
                let scale = shape.scale();
                multiply(
                    dense(&scratch.slopes, l, (l, 1)),
                    dense(k, c, (c, 1)),
                    out,
                    (3 * width, 3),
                    scale,
                );
                multiply(
                    dense(&scratch.slopes, l, (1, l)),
                    dense(q, c, (c, 1)),
                    &mut out[1..],
                    (3 * width, 3),
                    scale,
                );
            }
        },
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
struct Scratch {
    qkv: Vec<f32>,
    weights: Vec<f32>,
    slopes: Vec<f32>,
}

impl Scratch {
    fn new(shape: AttentionShape) -> Self {
        let square = shape.pixels * shape.pixels;
        Self {
            qkv: vec![0.0; 3 * shape.pixels * shape.channels],
            weights: vec![0.0; square],
            slopes: vec![0.0; square],
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
        let q = Matrix {
            values: q,
            rows: l,
            columns: c,
            step: (c, 1),
        };
        let k = Matrix {
            values: &kv[..l * c],
            rows: c,
            columns: l,
            step: (1, c),
        };
        multiply(q, k, &mut self.weights, (l, 1), shape.scale());
        vectorized(
            #[inline(always)]
            || softmax(&mut self.weights, l),
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

/// A view of a matrix; `step` holds the distance between rows and between columns.
#[derive(Clone, Copy)]
struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    step: (usize, usize),
}

impl Matrix<'_> {
    fn last(&self) -> usize {
        (self.rows - 1) * self.step.0 + (self.columns - 1) * self.step.1
    }
}

/// `out = scale a b`, on the calling thread.
fn multiply(a: Matrix, b: Matrix, out: &mut [f32], step: (usize, usize), scale: f32) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    assert_eq!(k, b.rows, "inner extents of a matrix product");
    assert!(
        a.last() < a.values.len() && b.last() < b.values.len(),
        "a matrix exceeds its values"
    );
    assert!(
        (m - 1) * step.0 + (n - 1) * step.1 < out.len(),
        "a product exceeds its output"
    );
    // SAFETY: the assertions above keep every element of the three matrices within its slice.
    unsafe {
        gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            step.1 as isize,
            step.0 as isize,
            false,
            a.values.as_ptr(),
            a.step.1 as isize,
            a.step.0 as isize,
            b.values.as_ptr(),
            b.step.1 as isize,
            b.step.0 as isize,
            0.0,
            scale,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}
